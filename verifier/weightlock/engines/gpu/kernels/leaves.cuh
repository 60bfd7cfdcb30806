// Where the leaves of a batch lie: pieces of any length and alignment, one thread for each leaf.
#pragma once
#include "words.cuh"

// One run of leaves: a segment or an aligned part of one. Mirrored by PIECE in table.py.
struct Piece {
    u64 address;     // of its first byte, in device memory; any alignment
    u64 bytes;       // > 0
    u32 full_before; // full leaves of all pieces before it
    u32 first_node;  // leaves of all pieces before it
};

struct Leaf {
    const u8* data;
    u32 bytes;
    u32 piece;  // its piece's number
    u32 number; // within its piece
};

// The last piece that starts at or before this full leaf; a piece without any is never the last.
DEVICE u32 piece_of_full_leaf(const Piece* pieces, u32 piece_count, u32 leaf) {
    u32 low = 0, high = piece_count;
    while (high - low > 1) {
        const u32 middle = low + (high - low) / 2;
        if (pieces[middle].full_before <= leaf) low = middle; else high = middle;
    }
    return low;
}

// Threads take all full leaves first, then the shorter last leaves of pieces in the order of
// `tails` (by length), so that the threads of a warp have equal work.
DEVICE Leaf leaf_of_thread(u32 thread, const Piece* pieces, u32 piece_count, const u32* tails,
                           u32 full_leaves, u32 leaf_bytes) {
    const bool full = thread < full_leaves;
    Leaf leaf;
    leaf.piece = full ? piece_of_full_leaf(pieces, piece_count, thread)
                      : tails[thread - full_leaves];
    const Piece piece = pieces[leaf.piece];
    leaf.number = full ? thread - piece.full_before : (u32)(piece.bytes / leaf_bytes);
    const u64 start = (u64)leaf.number * leaf_bytes;
    leaf.bytes = full ? leaf_bytes : (u32)(piece.bytes - start);
    leaf.data = reinterpret_cast<const u8*>(piece.address) + start;
    return leaf;
}
