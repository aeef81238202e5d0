# cmake -DASSETS="PATH|TYPE|FILE;…" -DOUTPUT=FILE -P embed.cmake: writes the files as arrays in C
# (projector/http/assets.h).
set(arrays "")
set(table "")
set(number 0)
foreach(asset ${ASSETS})
  string(REPLACE "|" ";" parts "${asset}")
  list(GET parts 0 path)
  list(GET parts 1 type)
  list(GET parts 2 file)
  if(type MATCHES "^text/")
    string(APPEND type "; charset=utf-8")
  endif()
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char bytes_${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"${path}\", \"${type}\", bytes_${number}, sizeof bytes_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}"
  "#include \"projector/http/assets.h\"\n\n${arrays}\nconst struct asset assets[] = {\n${table}};\n"
  "const size_t asset_count = sizeof assets / sizeof assets[0];\n")
