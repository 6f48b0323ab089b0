/* QEMU plugin: executed AArch64 instructions by class, between two marks of the program under emulation.
 *
 * The program marks with getpriority(0xEB, n), a call without effect: n = 0 starts counting, n > 0 writes a line of
 * JSON with what was executed since. One vCPU is expected to do the work; counters are plain.
 *
 * QEMU_PLUGIN_API is the plugin interface's version: 1 up to QEMU 9.0; 3 and later changed qemu_plugin_insn_data.
 * QEMU's own header is not packaged everywhere, so the few functions that are used are declared here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MARK 0xEB
#define SYS_GETPRIORITY 141 /* AArch64 Linux */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_cb)(unsigned int vcpu, void *userdata);
typedef void (*syscall_cb)(qemu_plugin_id_t, unsigned int vcpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t, uint64_t);
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_cb, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_cb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
#if QEMU_PLUGIN_API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

enum class { DOT, INT_MAC, FLOAT_MAC, SIMD, LOAD, STORE, BRANCH, OTHER, CLASSES };
static const char *const NAMES[CLASSES] = {"dot", "int_mac", "float_mac", "simd", "load", "store", "branch", "other"};
struct counts {
    uint64_t of[CLASSES];
};
static struct counts total, start;
static FILE *out;

static bool is(uint32_t word, uint32_t mask, uint32_t value) { return (word & mask) == value; }

/* Bit 22 tells loads from stores in most encodings; the exceptions come first (Arm ARM, C4.1.94, Loads and Stores). */
static enum class load_or_store(uint32_t w) {
    if (is(w, 0x3B000000, 0x18000000)) return LOAD; /* literal */
    if (is(w, 0x3A000000, 0x38000000) || is(w, 0x3F200C00, 0x19000000)) { /* single register; LDAPUR, STLUR */
        unsigned opc = w >> 22 & 3;
        bool vector = w >> 26 & 1;
        return (vector ? opc & 1 : opc != 0) ? LOAD : STORE; /* prefetches are loads here */
    }
    return w >> 22 & 1 ? LOAD : STORE; /* pairs, structures, exclusives, ordered, compare and swap */
}

/* Products by element, vector or scalar: opcode in bits 15:12. */
static enum class by_element(uint32_t w) {
    bool u = w >> 29 & 1;
    switch (w >> 12 & 15) {
    case 0: case 4: return u ? INT_MAC : FLOAT_MAC;             /* MLA, MLS; FMLAL, FMLSL */
    case 1: case 5: return u ? SIMD : FLOAT_MAC;                /* FMLA, FMLS */
    case 2: case 6: case 10: return INT_MAC;                    /* [SU]MLAL, [SU]MLSL, [SU]MULL */
    case 3: case 7: case 11: return u ? SIMD : INT_MAC;         /* SQDMLAL, SQDMLSL, SQDMULL */
    case 8: return u ? FLOAT_MAC : INT_MAC;                     /* FMLAL2; MUL */
    case 12: return u ? FLOAT_MAC : SIMD;                       /* FMLSL2; SQDMULH */
    case 14: return DOT;                                        /* SDOT, UDOT */
    case 15: return u ? SIMD : w >> 22 & 1 ? FLOAT_MAC : DOT;   /* BFDOT, BFMLAL; USDOT, SUDOT */
    default: return SIMD;                                       /* FMUL, SQRDMULH and kin */
    }
}

/* Advanced SIMD and scalar floating point (Arm ARM, C4.1.96): what a matrix product is made of apart from the rest.
 * A float product that adds nothing (FMUL) is SIMD; an integer one begins a sum of products. */
static enum class vector(uint32_t w) {
    bool u = w >> 29 & 1;
    if (is(w, 0x5F000000, 0x1F000000)) return FLOAT_MAC; /* FMADD and its kin, scalar */
    if (is(w, 0x9F000400, 0x0F000000) || is(w, 0xDF000400, 0x5F000000)) return by_element(w);
    if (is(w, 0x9F208400, 0x0E008400)) { /* three registers, extension */
        unsigned opcode = w >> 11 & 15;
        if (opcode == 2 || opcode == 4) return DOT;                   /* SDOT, UDOT; SMMLA, UMMLA */
        if (!u && (opcode == 3 || opcode == 5)) return DOT;           /* USDOT; USMMLA */
        if (u && (opcode == 13 || opcode == 15)) return FLOAT_MAC;    /* BFMMLA; BFDOT, BFMLAL */
    }
    if (is(w, 0xBF60FC00, 0x0E400C00)) return FLOAT_MAC; /* FMLA, FMLS of half precision */
    if (is(w, 0x9F200400, 0x0E200400)) {                 /* three registers of the same kind */
        unsigned opcode = w >> 11 & 31;
        if (opcode == 0x12 || (!u && opcode == 0x13)) return INT_MAC;   /* MLA, MLS; MUL */
        if (opcode == 0x19 || (!u && opcode == 0x1D)) return FLOAT_MAC; /* FMLA, FMLS, FMLAL2, FMLSL2; FMLAL, FMLSL */
    }
    if (is(w, 0x9F200C00, 0x0E200000)) { /* three registers of different widths */
        unsigned opcode = w >> 12 & 15;
        if (opcode == 8 || opcode == 10 || opcode == 12) return INT_MAC;         /* [SU]MLAL, [SU]MLSL, [SU]MULL */
        if (!u && (opcode == 9 || opcode == 11 || opcode == 13)) return INT_MAC; /* SQDMLAL and kin */
    }
    return SIMD;
}

static enum class class_of(uint32_t word) {
    unsigned op0 = word >> 25 & 15; /* Arm ARM, C4.1 */
    if ((op0 & 5) == 4) return load_or_store(word);
    if ((op0 & 14) == 10) return BRANCH; /* system instructions among them */
    if ((op0 & 7) == 7) return vector(word);
    return OTHER; /* scalar integer */
}

static void executed(unsigned int vcpu, void *userdata) {
    const struct counts *block = userdata;
    (void)vcpu;
    for (int i = 0; i < CLASSES; i++) total.of[i] += block->of[i];
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    struct counts *block = calloc(1, sizeof *block); /* lives as long as the translation: to the end of the run */
    size_t n = qemu_plugin_tb_n_insns(tb);
    (void)id;
    if (!block) abort();
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t word = 0;
#if QEMU_PLUGIN_API >= 3
        qemu_plugin_insn_data(insn, &word, sizeof word);
#else
        memcpy(&word, qemu_plugin_insn_data(insn), sizeof word);
#endif
        block->of[class_of(word)]++;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void marked(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t which, uint64_t mark, uint64_t c,
                   uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)vcpu, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != SYS_GETPRIORITY || which != MARK) return;
    if (mark) {
        fprintf(out, "{\"mark\": %llu", (unsigned long long)mark);
        for (int i = 0; i < CLASSES; i++)
            fprintf(out, ", \"%s\": %llu", NAMES[i], (unsigned long long)(total.of[i] - start.of[i]));
        fprintf(out, "}\n");
        fflush(out);
    }
    start = total;
}

/* Arguments: out=FILE */
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
    if (!out) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, marked);
    return 0;
}
