// SHA-512 and SHA-384 (FIPS 180-4) leaves and nodes; DIGEST_BYTES, given by the launcher, chooses.
// Reference: hashlib, through weightlock.formats.tree.
#include "words.cuh"
#include "window.cuh"

#ifndef RESIDENT_BLOCKS
#define RESIDENT_BLOCKS 3
#endif
#define BLOCK_BYTES 128

__constant__ u64 ROUND[80] = {
    0x428a2f98d728ae22ull, 0x7137449123ef65cdull, 0xb5c0fbcfec4d3b2full, 0xe9b5dba58189dbbcull,
    0x3956c25bf348b538ull, 0x59f111f1b605d019ull, 0x923f82a4af194f9bull, 0xab1c5ed5da6d8118ull,
    0xd807aa98a3030242ull, 0x12835b0145706fbeull, 0x243185be4ee4b28cull, 0x550c7dc3d5ffb4e2ull,
    0x72be5d74f27b896full, 0x80deb1fe3b1696b1ull, 0x9bdc06a725c71235ull, 0xc19bf174cf692694ull,
    0xe49b69c19ef14ad2ull, 0xefbe4786384f25e3ull, 0x0fc19dc68b8cd5b5ull, 0x240ca1cc77ac9c65ull,
    0x2de92c6f592b0275ull, 0x4a7484aa6ea6e483ull, 0x5cb0a9dcbd41fbd4ull, 0x76f988da831153b5ull,
    0x983e5152ee66dfabull, 0xa831c66d2db43210ull, 0xb00327c898fb213full, 0xbf597fc7beef0ee4ull,
    0xc6e00bf33da88fc2ull, 0xd5a79147930aa725ull, 0x06ca6351e003826full, 0x142929670a0e6e70ull,
    0x27b70a8546d22ffcull, 0x2e1b21385c26c926ull, 0x4d2c6dfc5ac42aedull, 0x53380d139d95b3dfull,
    0x650a73548baf63deull, 0x766a0abb3c77b2a8ull, 0x81c2c92e47edaee6ull, 0x92722c851482353bull,
    0xa2bfe8a14cf10364ull, 0xa81a664bbc423001ull, 0xc24b8b70d0f89791ull, 0xc76c51a30654be30ull,
    0xd192e819d6ef5218ull, 0xd69906245565a910ull, 0xf40e35855771202aull, 0x106aa07032bbd1b8ull,
    0x19a4c116b8d2d0c8ull, 0x1e376c085141ab53ull, 0x2748774cdf8eeb99ull, 0x34b0bcb5e19b48a8ull,
    0x391c0cb3c5c95a63ull, 0x4ed8aa4ae3418acbull, 0x5b9cca4f7763e373ull, 0x682e6ff3d6b2b8a3ull,
    0x748f82ee5defb2fcull, 0x78a5636f43172f60ull, 0x84c87814a1f0ab72ull, 0x8cc702081a6439ecull,
    0x90befffa23631e28ull, 0xa4506cebde82bde9ull, 0xbef9a3f7b2c67915ull, 0xc67178f2e372532bull,
    0xca273eceea26619cull, 0xd186b8c721c0c207ull, 0xeada7dd6cde0eb1eull, 0xf57d4f7fee6ed178ull,
    0x06f067aa72176fbaull, 0x0a637dc5a2c898a6ull, 0x113f9804bef90daeull, 0x1b710b35131c471bull,
    0x28db77f523047d84ull, 0x32caab7b40c72493ull, 0x3c9ebe0a15c9bebcull, 0x431d67c49c100d4cull,
    0x4cc5d4becb3e42b6ull, 0x597f299cfc657e2aull, 0x5fcb6fab3ad6faecull, 0x6c44198c4a475817ull,
};

struct State {
    u64 word[8];
#if DIGEST_BYTES == 48
    __device__ __forceinline__ State()
        : word{0xcbbb9d5dc1059ed8ull, 0x629a292a367cd507ull, 0x9159015a3070dd17ull,
               0x152fecd8f70e5939ull, 0x67332667ffc00b31ull, 0x8eb44a8768581511ull,
               0xdb0c2e0d64f98fa7ull, 0x47b5481dbefa4fa4ull} {}
#else
    __device__ __forceinline__ State()
        : word{0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull,
               0xa54ff53a5f1d36f1ull, 0x510e527fade682d1ull, 0x9b05688c2b3e6c1full,
               0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull} {}
#endif
};

// Sixteen rounds are unrolled, not eighty: the loop then fits the instruction cache.
DEVICE void compress(State& state, u64 (&w)[16]) {
    u64 a = state.word[0], b = state.word[1], c = state.word[2], d = state.word[3];
    u64 e = state.word[4], f = state.word[5], g = state.word[6], h = state.word[7];
#pragma unroll 1
    for (int start = 0; start < 80; start += 16) {
#pragma unroll
        for (int i = 0; i < 16; ++i) {
            const u64 first = h + ROUND[start + i] + w[i] + ((e & f) ^ (~e & g))
                + (rotated_right(e, 14) ^ rotated_right(e, 18) ^ rotated_right(e, 41));
            const u64 second = ((a & b) ^ (a & c) ^ (b & c))
                + (rotated_right(a, 28) ^ rotated_right(a, 34) ^ rotated_right(a, 39));
            h = g; g = f; f = e; e = d + first; d = c; c = b; b = a; a = first + second;
        }
        if (start == 64) break;
#pragma unroll
        for (int i = 0; i < 16; ++i) {
            const u64 early = w[(i + 1) & 15], late = w[(i + 14) & 15];
            w[i] += w[(i + 9) & 15]
                + (rotated_right(early, 1) ^ rotated_right(early, 8) ^ (early >> 7))
                + (rotated_right(late, 19) ^ rotated_right(late, 61) ^ (late >> 6));
        }
    }
    state.word[0] += a; state.word[1] += b; state.word[2] += c; state.word[3] += d;
    state.word[4] += e; state.word[5] += f; state.word[6] += g; state.word[7] += h;
}

// Keeps what the message has in this block and puts 0x80 and zeros behind it.
DEVICE void pad(u32 (&words)[32], u32 message_bytes, u32 offset) {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
        const int left = bytes_left(message_bytes, offset + 4 * i);
        if (left < 0) words[i] = 0;
        else if (left == 0) words[i] = 0x80000000u;
        else if (left < 4)
            words[i] = (words[i] & (0xffffffffu << (32 - 8 * left))) | 0x80u << (24 - 8 * left);
    }
}

DEVICE void hash_prefixed(u32 prefix, const u8* data, u32 length, u8* digest) {
    const u32 message_bytes = length + 1;
    const u32 blocks = (message_bytes + 17 + BLOCK_BYTES - 1) / BLOCK_BYTES;
    Window<4, 32, BIG_ENDIAN_WORDS> window(1, data, length);
    State state;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        const u32 offset = block * BLOCK_BYTES;
        u32 words[32];
        window.take(words);
        if (block == 0) words[0] = (words[0] & 0x00ffffffu) | prefix << 24;
        if (offset + BLOCK_BYTES > message_bytes) pad(words, message_bytes, offset);
        if (block == blocks - 1) words[31] = message_bytes * 8;
        u64 w[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) w[i] = joined(words[2 * i + 1], words[2 * i]);
        compress(state, w);
    }
#pragma unroll
    for (int i = 0; i < DIGEST_BYTES / 8; ++i) {
        u32* half = reinterpret_cast<u32*>(digest) + 2 * i;
        half[0] = __byte_perm((u32)(state.word[i] >> 32), 0, 0x0123);
        half[1] = __byte_perm((u32)state.word[i], 0, 0x0123);
    }
}

#include "tree.cuh"
#ifdef WEIGHTLOCK_BENCH
DEVICE u32 hash_in_registers(u32 seed, u32 blocks) {
    State state;
    u64 w[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) w[i] = seed + i;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) compress(state, w);
    return (u32)(state.word[0] ^ state.word[7]);
}
#include "ceiling.cuh"
#endif
