// Keccak-f[1600] and its sponge (FIPS 202), little-endian lanes.
#pragma once
#include "words.cuh"
#include "window.cuh"

__constant__ u64 ROUND[24] = {
    0x0000000000000001ull, 0x0000000000008082ull, 0x800000000000808aull, 0x8000000080008000ull,
    0x000000000000808bull, 0x0000000080000001ull, 0x8000000080008081ull, 0x8000000000008009ull,
    0x000000000000008aull, 0x0000000000000088ull, 0x0000000080008009ull, 0x000000008000000aull,
    0x000000008000808bull, 0x800000000000008bull, 0x8000000000008089ull, 0x8000000000008003ull,
    0x8000000000008002ull, 0x8000000000000080ull, 0x000000000000800aull, 0x800000008000000aull,
    0x8000000080008081ull, 0x8000000000008080ull, 0x0000000080000001ull, 0x8000000080008008ull,
};

// Rotations to the left of lane x + 5y.
static __device__ constexpr int ROTATION[25] = {0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43,
                                               25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};

DEVICE u64 rotated_left(u64 lane, int bits) {
    return bits == 0 ? lane : (lane << bits) | (lane >> (64 - bits));
}

DEVICE void permute(u64 (&a)[25]) {
#pragma unroll 1
    for (int round = 0; round < 24; ++round) {
        u64 column[5], b[25];
#pragma unroll
        for (int x = 0; x < 5; ++x) column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
#pragma unroll
        for (int x = 0; x < 5; ++x) {
#pragma unroll
            for (int y = 0; y < 5; ++y) {
                const u64 lane =
                    a[x + 5 * y] ^ column[(x + 4) % 5] ^ rotated_left(column[(x + 1) % 5], 1);
                b[y + 5 * ((2 * x + 3 * y) % 5)] = rotated_left(lane, ROTATION[x + 5 * y]);
            }
        }
#pragma unroll
        for (int y = 0; y < 25; y += 5) {
#pragma unroll
            for (int x = 0; x < 5; ++x)
                a[x + y] = b[x + y] ^ (~b[(x + 1) % 5 + y] & b[(x + 2) % 5 + y]);
        }
        a[0] ^= ROUND[round];
    }
}

template <int WORDS> DEVICE void absorb(u64 (&a)[25], const u32 (&words)[WORDS]) {
#pragma unroll
    for (int i = 0; i < WORDS / 2; ++i) a[i] ^= joined(words[2 * i], words[2 * i + 1]);
}

// Keeps what the message has in this block and puts the domain's suffix and zeros behind it.
template <int WORDS>
DEVICE void pad(u32 (&words)[WORDS], u32 suffix, u32 message_bytes, u32 offset) {
#pragma unroll
    for (int i = 0; i < WORDS; ++i) {
        const int left = bytes_left(message_bytes, offset + 4 * i);
        if (left < 0) words[i] = 0;
        else if (left == 0) words[i] = suffix;
        else if (left < 4)
            words[i] = (words[i] & ~(0xffffffffu << (8 * left))) | suffix << (8 * left);
    }
    words[WORDS - 1] ^= 0x80000000u;
}
