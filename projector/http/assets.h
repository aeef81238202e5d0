/* assets: the files of the dashboard, put into the program by the build (cmake/embed.cmake). */
#ifndef WEIR_PROJECTOR_HTTP_ASSETS_H
#define WEIR_PROJECTOR_HTTP_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* "/" or the name behind /assets/ */
    const char *type;
    const unsigned char *bytes;
    size_t size;
};

extern const struct asset assets[];
extern const size_t asset_count;

#endif
