// A virtual machine with the system of scripts/vm, under software emulation, and a root shell in it.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MUNGEBOX } from "../harness/programs.ts";
import { until } from "../harness/until.ts";

/** Emulation is about twenty times slower than the machine it runs on, which is shared. */
const BOOT_MS = 900_000;
const COMMAND_MS = 500_000;
const READY = "@@ready@@";

/** Result of a command in the machine. */
export interface Outcome {
  readonly status: number;
  /** What it wrote to both of its outputs, without the last line break. */
  readonly output: string;
}

/** One virtual machine; its disk begins as scripts/vm made it. */
export class Machine {
  readonly #directory = mkdtempSync(join(tmpdir(), "mungebox-vm-"));
  readonly #system: string;
  #emulator: ChildProcess | undefined;
  #port: Socket | undefined;
  #received = "";

  private constructor() {
    const made = spawnSync("scripts/vm", { encoding: "utf8" });
    assert.equal(made.status, 0, made.stderr);
    this.#system = made.stdout.trim();
  }

  /**
   * Boots a machine.
   *
   * @param files a directory whose contents it finds in /media.
   * @param kernelOptions as for {@linkcode start}.
   */
  static async boot(files: string, kernelOptions?: string): Promise<Machine> {
    const machine = new Machine();
    const disk = machine.#path("disk");
    runOrFail("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", machine.#base, disk);
    runOrFail("mke2fs", "-q", "-t", "ext4", "-d", files, machine.#path("media"), "400M");
    await machine.start(kernelOptions);
    return machine;
  }

  get #base(): string {
    return join(this.#system, "disk");
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  /** Starts it after {@linkcode cut}, with these options of the kernel, and waits for its shell. */
  async start(kernelOptions = "rw"): Promise<void> {
    const socket = this.#path("port");
    rmSync(socket, { force: true });
    this.#received = "";
    // It does not outlive the tests.
    this.#emulator = spawn("setpriv", [
      ...["--pdeathsig", "KILL", "qemu-system-x86_64"],
      ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"],
      ...["-display", "none", "-nic", "none", "-serial", `file:${this.#path("console")}`],
      ...["-kernel", join(this.#system, "kernel"), "-initrd", join(this.#system, "initrd")],
      ...["-append", `root=/dev/vda console=ttyS0 panic=-1 ${kernelOptions}`],
      ...["-drive", `if=virtio,format=qcow2,file=${this.#path("disk")}`],
      ...["-drive", `if=virtio,format=raw,file=${this.#path("media")}`],
      ...["-chardev", `socket,id=commands,path=${socket},server=on,wait=off`],
      ...["-device", "virtio-serial", "-device", "virtserialport,chardev=commands,name=commands"],
    ], { stdio: "ignore" });
    const emulator = this.#emulator;
    await until("the emulator is there", () => existsSync(socket) || emulator.exitCode !== null);
    assert(emulator.exitCode === null, "The emulator did not start");
    this.#port = connect(socket);
    this.#port.setEncoding("utf8").on("data", (text: string) => this.#received += text);
    await this.#awaitShell();
  }

  async #awaitShell(): Promise<void> {
    await this.#receive(READY, BOOT_MS);
    await this.check("mountpoint -q /media || mount -r /dev/vdb /media");
    await this.check("systemctl is-system-running --wait || systemctl --failed --no-legend");
  }

  /** Everything up to a marker, which is consumed as well. */
  async #receive(marker: string | RegExp, milliseconds: number): Promise<string> {
    for (const end = performance.now() + milliseconds;;) {
      const at = this.#received.search(marker);
      const line = at < 0 ? -1 : this.#received.indexOf("\n", at);
      if (line >= 0) {
        const text = this.#received.slice(0, line);
        this.#received = this.#received.slice(line + 1);
        return text;
      }
      if (performance.now() > end) {
        const log = readFileSync(this.#path("console"), "latin1").slice(-2_000);
        assert.fail(`The machine did not answer: ${this.#received}\n${log}`);
      }
      await pause(20);
    }
  }

  /** Runs a command of bash as root. */
  async run(command: string, milliseconds: number = COMMAND_MS): Promise<Outcome> {
    // Through cat, as SELinux does not let every program write to the port.
    this.#port!.write(
      `(\n${command}\n) </dev/null 2>&1 | cat\nprintf '\\n@@%d@@\\n' \${PIPESTATUS[0]}\n`,
    );
    const marker = /@@(\d+)@@/;
    const text = await this.#receive(marker, milliseconds);
    const { index, 1: status } = marker.exec(text)!;
    return { status: Number(status), output: text.slice(0, index).replaceAll("\r", "").trim() };
  }

  /** Output of a command that must succeed. */
  async check(command: string, milliseconds: number = COMMAND_MS): Promise<string> {
    const { status, output } = await this.run(command, milliseconds);
    assert.equal(status, 0, `${command}\n${output}`);
    return output;
  }

  /** Reboots it as an administrator does. */
  async reboot(): Promise<void> {
    await this.run("systemctl --no-block reboot");
    await this.#awaitShell();
  }

  /** Cuts its power; nothing is written to its disk any more. */
  async cut(): Promise<void> {
    const emulator = this.#emulator!;
    if (emulator.exitCode === null && emulator.signalCode === null) {
      const ended = once(emulator, "exit");
      emulator.kill("SIGKILL");
      await ended;
    }
    this.#port?.destroy();
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
    rmSync(this.#directory, { recursive: true });
  }
}

function runOrFail(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assert.equal(status, 0, `${program}: ${stderr}`);
}

/** What machines with our package need, for suite(). */
export const MACHINE_NEEDS: Readonly<Record<string, boolean>> = {
  "root, qemu-system-x86, qemu-utils, mmdebstrap and policycoreutils": canBoot(),
  "dist/mungebox": existsSync(MUNGEBOX),
};

function canBoot(): boolean {
  return process.getuid!() === 0 &&
    ["qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "setfiles"].every((program) =>
      spawnSync("sh", ["-c", `command -v ${program}`]).status === 0
    );
}
