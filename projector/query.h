/* query: `weir-projector query VIEW`. */
#ifndef WEIR_PROJECTOR_QUERY_H
#define WEIR_PROJECTOR_QUERY_H

/* argv[0] is the command's name. Returns the exit code. */
int query_main(int argc, char **argv);

#endif
