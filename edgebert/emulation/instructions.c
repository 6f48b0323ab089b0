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
    if (is(w, 0x3A000000, 0x38000000)) {            /* single register: opc in bits 23:22 */
        unsigned opc = w >> 22 & 3;
        bool vector = w >> 26 & 1;
        return (vector ? opc & 1 : opc != 0) ? LOAD : STORE;
    }
    return w >> 22 & 1 ? LOAD : STORE; /* pairs, structures, exclusives, ordered, compare and swap */
}

/* Advanced SIMD and scalar floating point (Arm ARM, C4.1.96): products apart from everything else. */
static enum class vector(uint32_t w) {
    if (is(w, 0x9F20FC00, 0x0E009400) || is(w, 0xBF20FC00, 0x0E009C00)) return DOT; /* SDOT, UDOT; USDOT */
    if (is(w, 0x9F00F400, 0x0F00E000) || is(w, 0xBF00F400, 0x0F00F000)) return DOT; /* the same by element */
    if (is(w, 0xBF20F400, 0x2E00A400) || is(w, 0x9F20F400, 0x0E00A400)) return DOT; /* [SU]MMLA, USMMLA */
    if (is(w, 0x5F000000, 0x1F000000)) return FLOAT_MAC;                            /* FMADD and its kin, scalar */
    if (is(w, 0x9F200400, 0x0E200400)) { /* three registers of the same kind */
        unsigned opcode = w >> 11 & 31;
        if (opcode == 0x12 || opcode == 0x13) return INT_MAC; /* MLA, MLS, MUL */
        if (!(w >> 29 & 1) && opcode == 0x19) return FLOAT_MAC; /* FMLA, FMLS */
    }
    if (is(w, 0x9F200C00, 0x0E200000)) { /* three registers of different widths */
        unsigned opcode = w >> 12 & 15;
        if (opcode == 8 || opcode == 10 || opcode == 12) return INT_MAC; /* [SU]MLAL, [SU]MLSL, [SU]MULL */
        if (!(w >> 29 & 1) && (opcode == 9 || opcode == 11 || opcode == 13)) return INT_MAC; /* SQDMLAL and kin */
    }
    if (is(w, 0x9F000400, 0x0F000000)) { /* by element */
        unsigned opcode = w >> 12 & 15;
        bool unsigned_form = w >> 29 & 1;
        if (!unsigned_form && (opcode == 1 || opcode == 5)) return FLOAT_MAC; /* FMLA, FMLS */
        if (unsigned_form && (opcode == 0 || opcode == 4)) return INT_MAC;    /* MLA, MLS */
        if (!unsigned_form && opcode == 8) return INT_MAC;                    /* MUL */
        if (opcode == 2 || opcode == 6 || opcode == 10) return INT_MAC;       /* [SU]MLAL, [SU]MLSL, [SU]MULL */
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
