// kernels.cu itself, run on the processor thread by thread: blocks one after the other, of a block each thread on a stack of its
// own. A thread runs until it comes to a barrier, a ballot or a shuffle and waits there for the others of its block or warp. In
// between, threads run in an order that the caller chooses, so that what lacks a barrier gives other numbers.

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include <ucontext.h>

struct Index {
    volatile unsigned x, y, z;
};
static Index threadIdx, blockIdx, gridDim, blockDim;

namespace {

enum Doing { READY, AT_BARRIER, AT_WARP, GONE };

struct Thread {
    ucontext_t start;
    jmp_buf at;
    char *stack;
    bool begun;
    Doing doing;
    int place;  // the line of the barrier, ballot or shuffle
};

const size_t STACK = 64 << 10;
Thread threads[1024];
jmp_buf scheduler;
Thread *volatile now;
const std::function<void()> *kernel;
unsigned width, height;
// What a GPU would hang at, or not define.
enum Wrong { NOTHING, APART = 1, GONE_BEFORE = 2, STUCK = 3 };

__attribute__((noinline)) void wait_for_others(Doing doing, int place) {
    now->doing = doing;
    now->place = place;
    if (!_setjmp(now->at)) _longjmp(scheduler, 1);
}

void main_of_a_thread() {
    (*kernel)();
    now->doing = GONE;
    _longjmp(scheduler, 1);
}

__attribute__((noinline)) void go_on(unsigned index) {
    Thread &one = threads[index];
    now = &one;
    threadIdx.x = index % width, threadIdx.y = index / width, threadIdx.z = 0;
    one.doing = READY;
    if (_setjmp(scheduler)) return;
    if (one.begun) _longjmp(one.at, 1);
    one.begun = true;
    setcontext(&one.start);
}

// 1 once all threads from, to are at one place; 0 as long as some are on the way; less: what is wrong.
int meet(unsigned from, unsigned to, Doing doing) {
    int place = 0;
    unsigned there = 0, gone = 0;
    for (unsigned i = from; i < to; ++i) {
        gone += threads[i].doing == GONE;
        if (threads[i].doing != doing) continue;
        if (there && threads[i].place != place) return -APART;
        place = threads[i].place;
        ++there;
    }
    if (!there || there + gone < to - from) return 0;  // somebody is still on the way
    return doing == AT_WARP && gone ? -GONE_BEFORE : 1;
}

void let_go(unsigned from, unsigned to, Doing doing) {
    for (unsigned i = from; i < to; ++i)
        if (threads[i].doing == doing) threads[i].doing = READY;
}

int run_block(unsigned count, int schedule, std::mt19937 &random) {
    for (unsigned i = 0; i < count; ++i) {
        Thread &one = threads[i];
        if (!one.stack) one.stack = (char *)malloc(STACK);
        getcontext(&one.start);
        one.start.uc_stack.ss_sp = one.stack;
        one.start.uc_stack.ss_size = STACK;
        one.start.uc_link = nullptr;
        makecontext(&one.start, main_of_a_thread, 0);
        one.begun = false;
        one.doing = READY;
    }
    std::vector<unsigned> order(count);
    for (unsigned i = 0; i < count; ++i) order[i] = schedule == 1 ? count - 1 - i : i;
    for (;;) {
        if (schedule > 1) std::shuffle(order.begin(), order.end(), random);
        unsigned ran = 0, gone = 0;
        for (unsigned i : order)
            if (threads[i].doing == READY) go_on(i), ++ran;
        for (unsigned i = 0; i < count; ++i) gone += threads[i].doing == GONE;
        if (gone == count) return NOTHING;
        bool moved = false;
        for (unsigned warp = 0; warp < count; warp += 32) {
            const int met = meet(warp, warp + 32, AT_WARP);
            if (met < 0) return -met;
            if (met) let_go(warp, warp + 32, AT_WARP), moved = true;
        }
        if (!moved) {
            const int met = meet(0, count, AT_BARRIER);
            if (met < 0) return -met;
            if (met) let_go(0, count, AT_BARRIER), moved = true;
        }
        if (!moved && !ran) return STUCK;
    }
}

unsigned warp_of() { return (unsigned)(now - threads) / 32 * 32; }
unsigned size_of_block() { return width * height; }

// What each thread brought to the place where it waits.
int brought[1024];

__attribute__((noinline)) void exchange(Doing doing, int place, int mine) {
    brought[now - threads] = mine;
    wait_for_others(doing, place);
}

}  // namespace

#define __global__
#define __shared__ static
#define __launch_bounds__(most)

namespace {

// A second wait behind each: who runs on may bring the next value only when all have read this one.
void both(Doing doing, int place) { exchange(doing, place, brought[now - threads]); }

void barrier(int line) { exchange(AT_BARRIER, line, 0); }
void warp_barrier(int line) { exchange(AT_WARP, line, 0); }
int barrier_count(int mine, int place) {
    exchange(AT_BARRIER, place, mine);
    int sum = 0;
    for (unsigned i = 0; i < size_of_block(); ++i) sum += brought[i] != 0 && threads[i].doing != GONE;
    both(AT_BARRIER, place);
    return sum;
}
int barrier_or(int mine, int place) {
    exchange(AT_BARRIER, place, mine);
    int any = 0;
    for (unsigned i = 0; i < size_of_block(); ++i) any |= brought[i] != 0 && threads[i].doing != GONE;
    both(AT_BARRIER, place);
    return any;
}
unsigned ballot(unsigned, int mine, int place) {
    exchange(AT_WARP, place, mine);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; ++lane) bits |= (unsigned)(brought[warp_of() + lane] != 0) << lane;
    both(AT_WARP, place);
    return bits;
}
int shuffle(unsigned, int mine, int from, int place) {
    exchange(AT_WARP, place, mine);
    const int found = brought[warp_of() + (from & 31)];
    both(AT_WARP, place);
    return found;
}
int shuffle_up(unsigned, int mine, unsigned by, int place) {
    exchange(AT_WARP, place, mine);
    const unsigned lane = (unsigned)(now - threads) % 32;
    const int found = brought[warp_of() + (lane >= by ? lane - by : lane)];
    both(AT_WARP, place);
    return found;
}

}  // namespace

// Called through pointers that may change: the compiler must take nothing in memory for unchanged behind such a call.
static void (*volatile barrier_there)(int) = barrier;
static void (*volatile warp_barrier_there)(int) = warp_barrier;
static int (*volatile count_there)(int, int) = barrier_count;
static int (*volatile or_there)(int, int) = barrier_or;
static unsigned (*volatile ballot_there)(unsigned, int, int) = ballot;
static int (*volatile shuffle_there)(unsigned, int, int, int) = shuffle;
static int (*volatile shuffle_up_there)(unsigned, int, unsigned, int) = shuffle_up;
#define __syncthreads() barrier_there(__LINE__)
#define __syncwarp() warp_barrier_there(__LINE__)
#define __syncthreads_count(mine) count_there(mine, __LINE__)
#define __syncthreads_or(mine) or_there(mine, __LINE__)
#define __ballot_sync(mask, mine) ballot_there(mask, mine, __LINE__)
#define __shfl_sync(mask, mine, from) shuffle_there(mask, mine, from, __LINE__)
#define __shfl_up_sync(mask, mine, by) shuffle_up_there(mask, mine, by, __LINE__)

#include "kernels.cu"

namespace {

template <typename Type> Type value_of(int64_t raw) {
    Type value;
    std::memcpy(&value, &raw, sizeof value);
    return value;
}

template <typename... Types, size_t... Places>
void call(void (*function)(Types...), const int64_t *values, std::index_sequence<Places...>) {
    function(value_of<Types>(values[Places])...);
}

template <typename... Types> std::function<void()> bound(void (*function)(Types...), const int64_t *values) {
    return [=] { call(function, values, std::index_sequence_for<Types...>{}); };
}

}  // namespace

// One launch. values: what the kernel is given, each in 8 bytes.  schedule: 0 threads in order, 1 backwards, more: a seed.
// 0 done; 1 threads of a warp or block wait at different places; 2 a warp waits for one that is gone; 3 nobody can go on.
extern "C" int launch(const char *name, const unsigned *grid, const unsigned *block, const int64_t *values, int schedule) {
    static std::function<void()> work;
    work = nullptr;
#define OFFER(kernel) \
    if (!std::strcmp(name, #kernel)) work = bound(kernel, values);
    OFFER(draw_crops)
    OFFER(rank_candidates)
    OFFER(mark_overlaps)
    OFFER(keep_boxes)
    OFFER(make_logits)
    OFFER(make_masks)
    if (!work) return -1;
    std::mt19937 random(schedule);
    kernel = &work;
    width = block[0], height = block[1];
    blockDim.x = block[0], blockDim.y = block[1], blockDim.z = block[2];
    gridDim.x = grid[0], gridDim.y = grid[1], gridDim.z = grid[2];
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx.x = x, blockIdx.y = y, blockIdx.z = z;
                if (const int wrong = run_block(block[0] * block[1] * block[2], schedule, random)) return wrong;
            }
    return 0;
}
