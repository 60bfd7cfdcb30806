// The lattice hash `lthash-v1`: SHAKE256 of each chunk with its place, summed lane by lane.
// Reference: weightlock.formats.lthash.
#include "words.cuh"
#include "window.cuh"
#include "keccak.cuh"
#include "leaves.cuh"

#define RATE_BYTES 136
#define SHAKE_SUFFIX 0x1f
#define HEADER_BYTES 49
#define LANES 1024
#define LANES_PER_BLOCK (RATE_BYTES / 2)
#define THREADS 64 // at most, of a block

// Whose chunks a piece holds. Mirrored by `PLACE` in table.py.
struct Place {
    u64 file;
    u64 segment;
    u64 first_chunk;
};

__constant__ u8 TAG[20] = {'w', 'e', 'i', 'g', 'h', 't', 'l', 'o', 'c', 'k',
                           '/', 'l', 't', 'h', 'a', 's', 'h', '/', 'v', '1'};

DEVICE u32 big_endian_byte(u64 number, int place) { return (u32)(number >> (8 * place)) & 0xff; }

DEVICE u32 header_byte(int i, const Place& place, u64 chunk, u32 length) {
    if (i < 20) return TAG[i];
    if (i < 21) return 0;
    if (i < 29) return big_endian_byte(place.file, 28 - i);
    if (i < 37) return big_endian_byte(place.segment, 36 - i);
    if (i < 45) return big_endian_byte(chunk, 44 - i);
    return big_endian_byte(length, 48 - i);
}

DEVICE void write_header(u32 (&words)[RATE_BYTES / 4], const Place& place, u64 chunk, u32 length) {
#pragma unroll
    for (int i = 0; i < HEADER_BYTES; ++i) {
        const u32 shift = 8 * (i % 4);
        words[i / 4] = (words[i / 4] & ~(0xffu << shift))
            | header_byte(i, place, chunk, length) << shift;
    }
}

DEVICE void absorb_element(u64 (&a)[25], const Leaf& leaf, const Place& place) {
    const u32 message_bytes = leaf.bytes + HEADER_BYTES;
    const u32 blocks = message_bytes / RATE_BYTES + 1;
    Window<2, RATE_BYTES / 4, LITTLE_ENDIAN_WORDS> window(HEADER_BYTES, leaf.data, leaf.bytes);
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        u32 words[RATE_BYTES / 4];
        window.take(words);
        if (block == 0) write_header(words, place, place.first_chunk + leaf.number, leaf.bytes);
        if (block == blocks - 1) pad(words, SHAKE_SUFFIX, message_bytes, block * RATE_BYTES);
        absorb(a, words);
        permute(a);
    }
}

// Each block writes the sum of its elements: lanes of 32 bits, too wide for 64 elements to fill.
extern "C" __global__ void __launch_bounds__(THREADS)
sum_elements(const Piece* pieces, u32 piece_count, const Place* places, const u32* tails,
             u32 full_leaves, u32 all_leaves, u32 leaf_bytes, u32* sums) {
    __shared__ u64 squeezed[THREADS][RATE_BYTES / 8];
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const bool used = thread < all_leaves;
    u64 a[25] = {};
    if (used) {
        const Leaf leaf =
            leaf_of_thread(thread, pieces, piece_count, tails, full_leaves, leaf_bytes);
        absorb_element(a, leaf, places[leaf.piece]);
    }
#pragma unroll 1
    for (u32 first = 0; first < LANES; first += LANES_PER_BLOCK) {
#pragma unroll
        for (int i = 0; i < RATE_BYTES / 8; ++i) squeezed[threadIdx.x][i] = used ? a[i] : 0;
        __syncthreads();
        for (u32 lane = threadIdx.x; lane < LANES_PER_BLOCK; lane += blockDim.x) {
            u32 sum = 0;
            for (u32 row = 0; row < blockDim.x; ++row)
                sum += reinterpret_cast<const u16*>(squeezed[row])[lane];
            if (first + lane < LANES) sums[(u64)blockIdx.x * LANES + first + lane] = sum;
        }
        __syncthreads();
        permute(a);
    }
}

#ifdef WEIGHTLOCK_BENCH
DEVICE u32 hash_in_registers(u32 seed, u32 blocks) {
    u64 a[25] = {};
    u32 words[RATE_BYTES / 4];
#pragma unroll
    for (int i = 0; i < RATE_BYTES / 4; ++i) words[i] = seed + i;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        absorb(a, words);
        permute(a);
    }
    return (u32)(a[0] ^ a[24]);
}
#include "ceiling.cuh"
#endif
