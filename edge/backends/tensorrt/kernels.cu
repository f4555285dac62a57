// One launch draws a whole batch: an image on the device and rectangles of it in, the network's input out. Five more make of
// its outputs what is kept, and masks.

#include "found.h"
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

// What follows runs behind the network, a row of the grid a view. Per view: scores [K], boxes [K, 4], coefficients [K, 32],
// prototypes [32, rows, columns]; order [MOST_CANDIDATES]; near [MOST_CANDIDATES, 32] words; kept [MOST_CANDIDATES].

// Candidates in the order of their scores. grid: 1, views.  block: MOST_CANDIDATES.
extern "C" __global__ void __launch_bounds__(MOST_CANDIDATES)
    rank_candidates(const float *__restrict__ all_scores, const float *__restrict__ all_boxes, int count, float confidence,
                    int *__restrict__ all_order, Found *__restrict__ all_found) {
    __shared__ float scores[MOST_CANDIDATES];
    const int view = blockIdx.y, mine = threadIdx.x;
    const float score = mine < count ? all_scores[(size_t)view * count + mine] : 0.0f;
    scores[mine] = score;
    bool broken = mine < count && !is_number(score);
    const bool candidate = mine < count && score > confidence;
    for (int side = 0; candidate && side < 4; ++side)
        broken |= !is_number(all_boxes[((size_t)view * count + mine) * 4 + side]);
    const int candidates = __syncthreads_count(candidate);
    const int bad = __syncthreads_or(broken);
    if (candidate) {
        int rank = 0;
        for (int other = 0; other < count; ++other)
            rank += scores[other] > confidence && comes_before(scores, other, mine);
        // A score that is not a number has no rank; the view is broken then, and nobody looks at its order.
        all_order[view * MOST_CANDIDATES + rank] = mine;
    }
    if (mine == 0) all_found[view] = Found{bad ? 0 : candidates, 0, 0, 0, bad ? 1 : 0, {0, 0, 0}};
}

// Which later candidates overlap each one too much, as bits. grid: 32, MOST_CANDIDATES / 8, views.  block: 32, 8.
extern "C" __global__ void __launch_bounds__(256)
    mark_overlaps(const float *__restrict__ all_boxes, int count, float iou, const int *__restrict__ all_order,
                  const Found *__restrict__ all_found, unsigned *__restrict__ near) {
    const int view = blockIdx.z, row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * WORD + threadIdx.x;
    const int candidates = all_found[view].candidates;
    if (row >= candidates) return;  // a whole warp
    const int *order = all_order + view * MOST_CANDIDATES;
    const float *boxes = all_boxes + (size_t)view * count * 4;
    bool too_near = false;
    if (column > row && column < candidates)
        too_near = !(overlap(boxes + 4 * order[column], boxes + 4 * order[row]) <= iou);
    const unsigned word = __ballot_sync(0xffffffffu, too_near);
    if (threadIdx.x == 0) near[((size_t)view * MOST_CANDIDATES + row) * WORD + blockIdx.x] = word;
}

// What is kept, and where its mask will lie. grid: 1, views.  block: 32, each lane holding 32 bits of what is suppressed.
extern "C" __global__ void __launch_bounds__(WORD)
    keep_boxes(const float *__restrict__ all_boxes, int count, const View *__restrict__ views, int rows, int columns,
               const int *__restrict__ all_order, const unsigned *__restrict__ all_near, Found *__restrict__ all_found,
               Kept *__restrict__ all_kept) {
    const int view = blockIdx.y, lane = threadIdx.x;
    const int candidates = all_found[view].candidates;
    const int *order = all_order + view * MOST_CANDIDATES;
    const unsigned *near = all_near + (size_t)view * MOST_CANDIDATES * WORD;
    const float *boxes = all_boxes + (size_t)view * count * 4;
    Kept *kept = all_kept + (size_t)view * MOST_CANDIDATES;
    unsigned suppressed = 0;
    int keeping = 0;
    for (int row = 0; row < candidates; ++row) {
        const unsigned word = __shfl_sync(0xffffffffu, suppressed, row / WORD);
        if (word >> (row % WORD) & 1) continue;
        if (lane == 0) kept[keeping].candidate = order[row];
        ++keeping;
        if (lane * WORD < candidates) suppressed |= near[(size_t)row * WORD + lane];
    }
    __syncwarp();
    int words = 0, cells = 0;
    for (int start = 0; start < keeping; start += WORD) {
        const int mine = start + lane;
        Kept one;
        int my_words = 0, my_cells = 0;
        if (mine < keeping) {
            const int candidate = kept[mine].candidate;
            one = placed(candidate, boxes + 4 * candidate, views[view], rows, columns);
            my_words = words_of(one);
            my_cells = cells_of(one);
        }
        int words_until = my_words, cells_until = my_cells;
        for (int step = 1; step < WORD; step *= 2) {
            const int more_words = __shfl_up_sync(0xffffffffu, words_until, step);
            const int more_cells = __shfl_up_sync(0xffffffffu, cells_until, step);
            if (lane >= step) words_until = added(words_until, more_words), cells_until += more_cells;
        }
        if (mine < keeping) {
            one.first_word = words + words_until - my_words;
            one.first_cell = cells + cells_until - my_cells;
            kept[mine] = one;
        }
        words = added(words, __shfl_sync(0xffffffffu, words_until, WORD - 1));
        cells += __shfl_sync(0xffffffffu, cells_until, WORD - 1);
    }
    if (lane == 0) {
        all_found[view].kept = keeping;
        all_found[view].words = words;
        all_found[view].cells = cells;
    }
}

// The logits under the boxes. grid: any, views.  block: 256.  logits: [views, most_cells].
extern "C" __global__ void __launch_bounds__(256)
    make_logits(const float *__restrict__ all_coefficients, int count, const float *__restrict__ all_prototypes, int rows,
                int columns, const Kept *__restrict__ all_kept, Found *__restrict__ all_found, float *__restrict__ all_logits,
                int most_words, int most_cells) {
    const int view = blockIdx.y;
    const Found found = all_found[view];
    if (found.words > most_words || found.cells > most_cells) return;
    const Kept *kept = all_kept + (size_t)view * MOST_CANDIDATES;
    const float *prototypes = all_prototypes + (size_t)view * CHANNELS * rows * columns;
    for (int at = blockIdx.x * 256 + threadIdx.x; at < found.cells; at += gridDim.x * 256) {
        const Kept one = kept[entry_of(kept, found.kept, at, true)];
        const int width = one.right - one.left, cell = at - one.first_cell;
        const float *coefficients = all_coefficients + ((size_t)view * count + one.candidate) * CHANNELS;
        const float value = logit(coefficients, prototypes, rows, columns, one.top + cell / width, one.left + cell % width);
        if (!is_number(value)) all_found[view].broken = 1;
        all_logits[(size_t)view * most_cells + at] = value;
    }
}

// The masks, a bit a pixel, the lowest first. grid: any, views.  block: 32, 8: a warp a word.  bits: [views, most_words].
extern "C" __global__ void __launch_bounds__(256)
    make_masks(const View *__restrict__ views, const Kept *__restrict__ all_kept, const Found *__restrict__ all_found,
               const float *__restrict__ all_logits, unsigned *__restrict__ all_bits, int most_words, int most_cells) {
    const int view = blockIdx.y;
    const Found found = all_found[view];
    if (found.words > most_words || found.cells > most_cells) return;
    const Kept *kept = all_kept + (size_t)view * MOST_CANDIDATES;
    for (int at = blockIdx.x * 8 + threadIdx.y; at < found.words; at += gridDim.x * 8) {
        const Kept one = kept[entry_of(kept, found.kept, at, false)];
        const int word = at - one.first_word, across = words_a_row(one);
        const int x = word % across * WORD + threadIdx.x, y = word / across;
        const float *logits = all_logits + (size_t)view * most_cells + one.first_cell;
        const bool set = x < one.x1 - one.x0 && inside(one, views[view], logits, x, y);
        const unsigned bits = __ballot_sync(0xffffffffu, set);
        if (threadIdx.x == 0) all_bits[(size_t)view * most_words + at] = bits;
    }
}
