/* The plugin without QEMU: its functions are played here, a block of code is the words of the command line.
 *
 * harness class WORD...              the class of each word
 * harness count FILE WORD...         run the block before the first mark, twice up to the second, once to the third
 */
#include "instructions.c"

static uint32_t words[1024];
static size_t count;
static translated_cb on_translation;
static syscall_cb on_syscall;
static executed_cb on_execution;
static void *given;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated_cb call) {
    (void)id;
    on_translation = call;
}
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_cb call) {
    (void)id;
    on_syscall = call;
}
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, executed_cb call, enum qemu_plugin_cb_flags flags,
                                          void *userdata) {
    (void)tb, (void)flags;
    on_execution = call;
    given = userdata;
}
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb) {
    (void)tb;
    return count;
}
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i) {
    (void)tb;
    return (struct qemu_plugin_insn *)&words[i];
}
#if QEMU_PLUGIN_API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t length) {
    memcpy(to, insn, length);
    return length;
}
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn) { return insn; }
#endif

static void call(int64_t number, uint64_t which, uint64_t mark) {
    on_syscall(0, 0, number, which, mark, 0, 0, 0, 0, 0, 0);
}

static void execute(int times) {
    while (times--) on_execution(0, given);
}

int main(int argc, char **argv) {
    bool counting = argc > 2 && !strcmp(argv[1], "count");
    int first = counting ? 3 : 2;
    for (int i = first; i < argc; i++) words[count++] = (uint32_t)strtoul(argv[i], NULL, 16);
    if (!counting) {
        for (size_t i = 0; i < count; i++) puts(NAMES[class_of(words[i])]);
        return 0;
    }
    char option[4096];
    snprintf(option, sizeof option, "out=%s", argv[2]);
    char *arguments[] = {option};
    if (qemu_plugin_install(0, NULL, 1, arguments)) return 1;
    on_translation(0, NULL);
    execute(1);
    call(SYS_GETPRIORITY, MARK, 0);
    execute(2);
    call(SYS_GETPRIORITY, 0, 7); /* the program's own business */
    call(SYS_GETPRIORITY + 1, MARK, 8);
    call(SYS_GETPRIORITY, MARK, 1);
    execute(1);
    call(SYS_GETPRIORITY, MARK, 2);
    return 0;
}
