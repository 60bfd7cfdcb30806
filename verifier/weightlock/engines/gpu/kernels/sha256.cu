// SHA-256 (FIPS 180-4) leaves and nodes. Reference: hashlib, through weightlock.formats.tree.
#include "words.cuh"
#include "window.cuh"

#ifndef RESIDENT_BLOCKS
#define RESIDENT_BLOCKS 5
#endif
#define BLOCK_BYTES 64

__constant__ u32 ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct State {
    u32 word[8];
    __device__ __forceinline__ State()
        : word{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {}
};

// The schedule rolls through the block's own 16 words, which afterwards hold its last 16.
DEVICE void compress(State& state, u32 (&w)[16]) {
    u32 a = state.word[0], b = state.word[1], c = state.word[2], d = state.word[3];
    u32 e = state.word[4], f = state.word[5], g = state.word[6], h = state.word[7];
#pragma unroll
    for (int i = 0; i < 64; ++i) {
        if (i >= 16) {
            const u32 early = w[(i + 1) & 15], late = w[(i + 14) & 15];
            w[i & 15] += w[(i + 9) & 15]
                + (rotated_right(early, 7) ^ rotated_right(early, 18) ^ (early >> 3))
                + (rotated_right(late, 17) ^ rotated_right(late, 19) ^ (late >> 10));
        }
        const u32 first = h + ROUND[i] + w[i & 15] + ((e & f) ^ (~e & g))
            + (rotated_right(e, 6) ^ rotated_right(e, 11) ^ rotated_right(e, 25));
        const u32 second = ((a & b) ^ (a & c) ^ (b & c))
            + (rotated_right(a, 2) ^ rotated_right(a, 13) ^ rotated_right(a, 22));
        h = g; g = f; f = e; e = d + first; d = c; c = b; b = a; a = first + second;
    }
    state.word[0] += a; state.word[1] += b; state.word[2] += c; state.word[3] += d;
    state.word[4] += e; state.word[5] += f; state.word[6] += g; state.word[7] += h;
}

// Keeps what the message has in this block and puts 0x80 and zeros behind it.
DEVICE void pad(u32 (&w)[16], u32 message_bytes, u32 offset) {
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        const int left = bytes_left(message_bytes, offset + 4 * i);
        if (left < 0) w[i] = 0;
        else if (left == 0) w[i] = 0x80000000u;
        else if (left < 4) w[i] = (w[i] & (0xffffffffu << (32 - 8 * left))) | 0x80u << (24 - 8 * left);
    }
}

DEVICE void hash_prefixed(u32 prefix, const u8* data, u32 length, u8* digest) {
    const u32 message_bytes = length + 1;
    const u32 blocks = (message_bytes + 9 + BLOCK_BYTES - 1) / BLOCK_BYTES;
    Window<4, 16, BIG_ENDIAN_WORDS> window(1, data, length);
    State state;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        const u32 offset = block * BLOCK_BYTES;
        u32 w[16];
        window.take(w);
        if (block == 0) w[0] = (w[0] & 0x00ffffffu) | prefix << 24;
        if (offset + BLOCK_BYTES > message_bytes) pad(w, message_bytes, offset);
        if (block == blocks - 1) w[15] = message_bytes * 8;
        compress(state, w);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
        reinterpret_cast<u32*>(digest)[i] = __byte_perm(state.word[i], 0, 0x0123);
}

#include "tree.cuh"
#ifdef WEIGHTLOCK_BENCH
DEVICE u32 hash_in_registers(u32 seed, u32 blocks) {
    State state;
    u32 w[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) w[i] = seed + i;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) compress(state, w);
    return state.word[0] ^ state.word[7];
}
#include "ceiling.cuh"
#endif
