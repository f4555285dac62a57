// One launch draws a whole batch: an image on the device and rectangles of it in, the network's input out.

#include "kernels.h"

using namespace edge;

const int BLOCK_COLUMNS = 32, BLOCK_ROWS = 8;

// grid: columns / 32, rows / 8, crops.  block: 32, 8.  canvases: uint8 [crops, 1, rows, columns].
// The image's address and size lie in memory, so that a recorded launch draws whatever image is shown later.
// Spans need double precision, which most GPUs are slow at: a block computes each of its 32 + 8 once, not 2 for each pixel.
extern "C" __global__ void __launch_bounds__(BLOCK_COLUMNS *BLOCK_ROWS)
    draw_crops(const Image *__restrict__ shown, const Crop *__restrict__ crops, unsigned char *__restrict__ canvases,
               int columns, int rows) {
    __shared__ Span across[BLOCK_COLUMNS], down[BLOCK_ROWS];
    const Crop crop = crops[blockIdx.z];
    const Way way = way_of(crop);
    const int left = blockIdx.x * BLOCK_COLUMNS, top = blockIdx.y * BLOCK_ROWS;
    if (threadIdx.y == 0) across[threadIdx.x] = span_of(way, left + threadIdx.x, crop.width, crop.columns, true);
    if (threadIdx.y == 1 && threadIdx.x < BLOCK_ROWS)
        down[threadIdx.x] = span_of(way, top + threadIdx.x, crop.height, crop.rows, false);
    __syncthreads();
    const int column = left + threadIdx.x, row = top + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const Image image = *shown;
    const bool inside = column < crop.columns && row < crop.rows;
    canvases[((size_t)blockIdx.z * rows + row) * columns + column] =
        inside ? drawn(image, crop, way, across[threadIdx.x], down[threadIdx.y]) : PADDING_GREY;
}
