// The first instructions of an executable, which run before the runtime's own code. They check that there are enough
// descriptors, stack and memory; replace the runtime's variables in the environment by our settings; make the allocator's memory
// accessible; stop ignoring the signal that the engine uses; fork, in the leader of the session that a daemon gets on its way
// into the background; say what is wrong when the engine can't start a thread; make a stack of our own under a low `ulimit -s`,
// which arguments and environment may use up; and, without a working directory or /proc, answer for the C library, because the
// runtime would give up. In a client, even with /proc, they answer when it is asked for the first thread's stack, because its own
// answer takes 2 % of `munge -n`. For Linux on x64 and arm64.
import { replaceCode, type Replacements } from "./code.ts";
import { Elf } from "./elf.ts";

/**
 * Environment variables with these names affect the runtime: they make it load other code, write files, or end with a strange
 * message. A user's variables never reach it, whatever their case. The first eight characters count.
 */
export const CLOSED_PREFIXES = [
  "BUN_",
  "C_INCLUDE_PATH",
  "GLIBCXX_",
  "HYPERFINE_",
  "ICU_",
  "JavaScriptCoreUseJIT",
  "JPEGMEM",
  "JSC_",
  "JSIMD_",
  "LIBRARY_PATH",
  "LSQUIC_",
  "Malloc",
  "MIMALLOC_",
  "NODE_",
  "OPENSSL_",
  "SIMDUTF_",
  "SQLITE_",
  "UV_",
  "WebKit",
  "WTF_",
];

/**
 * Settings of the runtime. By default it reserves 4 GiB for the structures of objects, 1 GiB for compiled code and 1 GiB for
 * its allocator, all of which count towards `ulimit -v`, `ulimit -d` and a node's commit limit.
 */
const SETTINGS = [
  "BUN_JSC_structureHeapSizeInKB=1048576", // halved until it fits, down to 64 MiB
  "BUN_JSC_jitMemoryReservationSize=8388608",
  // No check for garbage every second, as allocating triggers one anyway: an idle daemon sleeps.
  "BUN_GC_TIMER_DISABLE=1",
  // A thread's garbage is collected for the first time after 16 MiB instead of 32. If the engine were told that the machine
  // has little memory, it would also collect so often that requests of 64 KiB and more take twice the processor time.
  "BUN_JSC_largeHeapSize=16777216",
  // What is freed goes back to the system after 100 ms, if it is not used again, instead of after 1,000.
  "MIMALLOC_PURGE_DELAY=100",
  "BUN_DISABLE_TRANSPILER=1", // whose tables take 4 % of `munge -n` to make: all code is JavaScript already
  "MIMALLOC_USE_NUMA_NODES=1", // not as many as the system has, which takes five system calls to find out
];

/**
 * Programs whose names begin like this compile and collect garbage in threads beside those that serve, which would
 * otherwise make clients wait for up to half a second. Any other program has no such threads: they take as much
 * processor time as they save, and a user whose processes have reached `ulimit -u` could not start them. Nor do they
 * get code that makes frequent calls of the same C function faster, because generating it takes 1 % of `munge -n`, or have
 * the bytecode of all commands read ahead, which takes as much.
 */
const DAEMONS = ["munged", "auksd", "container"];
const SETTINGS_OF_OTHERS = [
  "BUN_JSC_useConcurrentJIT=0",
  "BUN_JSC_numberOfGCMarkers=1",
  "BUN_JSC_useWarmUpMarkedBlocks=0",
  "BUN_JSC_useFFIICStub=0",
  "BUN_FEATURE_FLAG_DISABLE_STANDALONE_MADVISE=1",
];

/**
 * Prefixes of the options with which even these programs do one thing and exit. None of them matches another option, such as
 * `--verbose`.
 */
const ERRANDS = ["-V", "-h", "-L", "-s", "--vers", "--help", "--lic", "--sto", "--stat", "--check"];

/** The stack size by which the code recognizes a thread that the engine can't do without. */
const ENGINE_THREAD_STACK = 512 * 1024;

/**
 * The message, after the program's name, if such a thread can't be started within two seconds. A daemon that has started keeps
 * trying instead: it is recognized by having made itself undumpable (lib/os/process.ts).
 */
const NO_THREAD =
  ": Error: Insufficient resources: No thread can be started (ulimit -u, or the control group's pids.max)\n";

/** The message if it can't be started for another reason: old container runtimes refuse clone3 with EPERM, and glibc gives up. */
const REFUSED_THREAD =
  ": Error: No thread can be started: a filter of system calls must allow clone3, or fail it with ENOSYS\n";

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MIB = 1024 * 1024;

/**
 * The allocator reserves 1 GiB by default, which counts as data unless it is made accessible only as it is used. Without that
 * much address space, which is only the case under `ulimit -v`, memory is mapped in small pieces, which takes 0.3 ms of
 * `munge -n`.
 */
const ARENA = {
  /** What the allocator reserves. */
  length: 1024 * MIB,
  /**
   * What every command uses, made accessible at once: in the allocator's own pieces of 64 KiB it would take 50 calls of 6 us.
   */
  start: 22 * MIB,
  /** What the runtime reserves in all, with room to spare. */
  room: 4096 * MIB,
  setting: "MIMALLOC_ARENA_EAGER_COMMIT=0",
  settingForLess: "MIMALLOC_ARENA_RESERVE=0",
};

/** What the smallest program needs beyond what the kernel has already mapped. */
const ROOM = [
  { length: 141 * MIB, protection: PROT_NONE }, // ulimit -v
  { length: 54 * MIB, protection: PROT_READ_WRITE }, // ulimit -d, the commit limit
];

/** The message, after the program's name, if there is less. */
const NO_MEMORY =
  ": Error: Out of memory: 256 MiB of address space (ulimit -v) and 64 MiB of data (ulimit -d) are needed\n";

/** Other limits by their number in Linux, with the required minimum and the message for less. */
const LIMITS = [
  {
    resource: 7, // RLIMIT_NOFILE
    minimum: 6,
    text: ": Error: Too many open files: 6 descriptors are needed (ulimit -n)\n",
  },
  {
    resource: 3, // RLIMIT_STACK
    minimum: 32 * 1024,
    text: ": Error: Insufficient resources: 32 KiB of stack are needed (ulimit -s)\n",
  },
];

/** The variable by which a daemon's caller makes a copy of itself the leader of a session (daemon/process/background.ts). */
const STAGE = "MUNGED_STAGE";

/** A function called only by native addons, which our executables never load; the code replaces it. */
const PLACE = "napi_get_property";

/** entry_x64.s and entry_arm64.s, assembled; a test compares them. */
const CODE = {
  x64: "4889d3bf1e000000488db42440ffffff31c04889064889460848894610488946" +
    "1831d241ba08000000b80d0000000f054c8d25e107000041be01000000498b3c" +
    "244885ff7431488db42470ffffffb8610000000f0585c07518488b842470ffff" +
    "ff493b4424084d8d6c24100f82890000004983c420ebc64889c54983c4084c8d" +
    "2d7b06000041be05000000498b34244983c4084885f67432498b14244983c408" +
    "31ff41ba2240000049c7c0ffffffff4531c9b8090000000f054885c0783c4889" +
    "c7b80b0000000f05ebc1498b34244d8b7c240831ff31d2b8090000000f054885" +
    "c04d0f487c24104d8d642418784e4889c7b80b0000000f05eb42488b74240848" +
    "89f28a0248ffc23c2f480f44f284c075f148ffca4829f2bf02000000b8010000" +
    "000f05498b7500498b5508b8010000000f054489f7b8e70000000f05488b0c24" +
    "488d74cc10488b064883c6084885c075f4488b064883c6104885c075f44829e6" +
    "4889e74829f74881fd0000100073364881c60000120031ffba03000000b80900" +
    "00000f054885c00f886dffffff4889c7be0000010031d2b80a0000000f054881" +
    "c7000012004881ef800000004883e7f04989f94889e6488b0c244883c102fcf3" +
    "48a5488b05270500004889384c89f848ab498b04244983c4084885c0740448ab" +
    "ebef488b4c24084889ca8a0248ffc23c2f480f44ca84c075f1488b1131c9488b" +
    "4424104885c07403488b084531ed498b04244983c4084885c074264d8b042449" +
    "83c4084989c24921d24d39c2410f94c24821c84c39c00f94c04408d04108c5eb" +
    "cd488d542410488b0a4883c2084885c97420488b094d89e0498b004885c074e6" +
    "4821c8493b40084d8d401075eb4531edebd4498b04244983c4084885c0740649" +
    "83c408ebed498b04244983c4084885c074094585ed75ee48abebea49bb202020" +
    "202020202048ad4885c07424488b104c09da4c89e14c8b014d85c0740f4921d0" +
    "4c3b410874df4883c110ebe948abebd548ab48ad4889c148ab48ad48ab4885c9" +
    "75f04c89cc31ff488b352a040000488b051b040000ff104885c0740cbff8ffff" +
    "ffbe01000000ffd04585ed0f84950000004c8b25d80300004d8b2424498b3424" +
    "4983c4084885f6747d488d0d88040000488b06482301483b410875e04883c608" +
    "4883c1104883390075e64883ee034531f60fb60648ffc685c0741183e83083f8" +
    "097743456bf60a4101c6ebe5b86e0000000f054439f0752e488b3529040000e8" +
    "560300004885c0741dffd085c07817740931ffb8e70000000f05488b050f0400" +
    "0049894424f8b84f000000488dbc2480efffffbe001000000f054885c0791148" +
    "8b055a030000488d0daa000000488908488b0519040000488d0d5a0100004889" +
    "084881fd0000100072404585ed743bb802000000488b3d3503000031f60f0548" +
    "85c078264889c7b8030000000f0531ffbe0300000031d24c8d942470ffffffb8" +
    "2e0100000f0585c07411488b05f7020000488d0d48000000488908488b050e03" +
    "0000488d0d55010000488908488b051d030000488d0da3010000488908488b05" +
    "a4030000488d0d040100004889084889daff258102000066c7072f004889f8c3" +
    "5341544883ec184889f34989fcb8270000000f054189c0b8ba0000000f054439" +
    "c07416488b358e020000e82b0200004c89e74889deffd0eb77488b3580020000" +
    "e8150200004889dfffd0488b3577020000e8040200004989c0b861000000bf03" +
    "0000004889e648c70424ffffffff0f05488b1424b9000080004839ca480f47d1" +
    "b9000010004839ca480f42d14881e200f0ffff488b35d6010000488b364881ce" +
    "ff0f000048ffc64829d64889df41ffd04883c418415c5bc3b8610000000f0585" +
    "c0741983c8ff83ff03752348c7060000800048c74608ffffffff31c083ff0375" +
    "0db90000100048390e730348890ec34885f6740983be8800000000781e575652" +
    "488b3589020000e84e010000488b15750200004889025a5e5fffe031c0c34989" +
    "cab8090000000f05483d00f0ffff7726483b35a9010000751c85d27518504889" +
    "c7488b35a0010000ba03000000b80a0000000f0558c357565241524150415148" +
    "83ec08488b356e010000e8eb0000004883c40841594158595a5e5fffe0535541" +
    "54415541564883ec104889fb4989f44989d54989cebd28000000488b35570100" +
    "00e8b40000004889df4c89e64c89ea4c89f1ffd08944240885c074674d85e474" +
    "62488b3538010000e88d0000004c89e74889e6ffd08b442408488b0d40010000" +
    "48390c24753d83f80b7545ffcd7512b89d000000bf030000000f0585c0753aff" +
    "c548c704240000000048c744240880f0fa024889e731f6b8230000000f05e977" +
    "ffffff4883c410415e415d415c5d5bc34c8d2d41010000eb074c8d2dd0000000" +
    "488b35c1000000e80e000000488b3041be01000000e925faffff31ff488b052d" +
    "000000ff2066662e0f1f840000000000",
  arm64: "f30300aac00380d2e10303d13f7c00a93f7c01a9020080d2030180d2c81080d2" +
    "010000d4f438001095a20491380080d2a10240f9010200b4000080d2020080d2" +
    "e34302d1a82080d21a008092010000d4e000f8b7e10357f8fa0301aaa20640f9" +
    "b74200913f0002ebc3040054b5820091f0ffff17b522009197420091b80080d2" +
    "a18640f8c10100b4a28640f8000080d2430488d204008092050080d2c81b80d2" +
    "f60301aa010000d4c002f8b7e10316aae81a80d2010000d4f2ffff17b666c1a8" +
    "000080d2e10316aa020080d2430488d204008092050080d2c81b80d2010000d4" +
    "a98640f8a000f8b7e10316aae81a80d2010000d414000014f90309aa12000014" +
    "e10740f9e20301aa431440387fbc00714100819aa3ffff35420400d1420001cb" +
    "400080d2080880d2010000d4e10a40a9400080d2010000d4e00318aac80b80d2" +
    "010000d4e90340f9ea030091290900914b0d098b6c8540f8ecffffb56c0541f8" +
    "ecffffb56b010acb4c010bcb5f0344f182010054000080d261814491620080d2" +
    "c81b80d2010000d4c0fbffb70c8044912100a0d2020080d2481c80d2010000d4" +
    "8c0102d18ced7c92ed030caa4e8540f88e8500f8290500f1a1ffff54810240f9" +
    "2c0000f9998500f8ae8640f86e0000b48e8500f8fdffff17e19340a9e20301aa" +
    "431440387fbc00714100819aa3ffff35220040f9440000b4840040f9010080d2" +
    "a38640f8230100b4a58640f86600028adf0005eb21149f9a6600048adf0005eb" +
    "21149f9af7ffff17e2430091438440f8430100b4630040f9e40315aa8518c1a8" +
    "65ffffb4a500038abf0006eb81ffff54010080d2f6ffff17a38640f8630000b4" +
    "b5220091fdffff17ae8640f88e0000b4c1ffffb58e8500f8fcffff17f60301aa" +
    "f0c303b24e8540f88e0100b4d10140f9310210aae30315aa6414c1a8a40000b4" +
    "8400118a9f0005ebe0feff54fbffff178e8500f8f4ffff179f8500f84415c1a8" +
    "841581a8c4ffffb5bf010091000080d2900642a9110240f920023fd6a00000b4" +
    "f10300aae0008092210080d220023fd6f60400b4950240f9b50240f9a18640f8" +
    "610400b4822203914310c1a8c30000b4258440f8a500038abf0004eb01ffff54" +
    "faffff17210c00d1160080524301805222144038c200003442c000515f240071" +
    "68020054d60a031bfaffff17a81580d2010000d41f00166ba1010054815e40f9" +
    "f3000094400100b4f10300aa20023fd6e000f83780000034000080d2c80b80d2" +
    "010000d4816240f9a1821ff8e00740d1000002d1010082d2280280d2010000d4" +
    "8000f8b6811a40f9c2040010220000f9818240f9620b0010220000f95f0344f1" +
    "23020054160200b4600c8092812240f9020080d2080780d2010000d44001f8b7" +
    "280780d2010000d4000080d2610080d2020080d2e34302d1a82080d2010000d4" +
    "800000b4811e40f922020010220000f9813240f9420d0010220000f9814240f9" +
    "a2100010220000f9818e40f9220a0010220000f9e00313aa910640f920021fd6" +
    "e105805201000079c0035fd6fd7bbca9f35301a9f51300f9f30301aaf50300aa" +
    "14170010881580d2010000d4e103002a481680d2010000d41f00016b00010054" +
    "812640f9aa000094f10300aae00315aae10313aa20023fd61e000014812a40f9" +
    "a3000094f10300aae00313aa20023fd6812e40f99e000094f10300aa600080d2" +
    "01008092e11b00f9e1c30091681480d2010000d4e21b40f90110a0d25f0001eb" +
    "2280829a0102a0d25f0001eb2230829a42cc7492810240f9210040f9212c40b2" +
    "21040091210002cbe00313aa20023fd6f51340f9f35341a9fd7bc4a8c0035fd6" +
    "e903002ae30301aa681480d2010000d4000100b4000080923f0d007181010054" +
    "0110a0d202008092610800a9000080d23f0d0071c1000054610040f90202a0d2" +
    "3f0002eb4130819a610000f9c0035fd6610000b4238840b9e301f837fd7bbda9" +
    "e00701a9e21300f9c90d0010219140f967000094f10300aa490d0010298d40f9" +
    "310100f9e00741a9e21340f9fd7bc3a820021fd6000080d2c0035fd6e90300aa" +
    "c81b80d2010000d41ffc3fb1a8010054890b00102a2d47a93f000aeb01010054" +
    "e2000035e90300aae1030baa620080d2481c80d2010000d4e00309aac0035fd6" +
    "fd7bbca9e90701a9e20f02a9e41703a989090010213540f945000094f10300aa" +
    "e00741a9e20f42a9e41743a9fd7bc4a820021fd6fd7bbba9f35301a9f55b02a9" +
    "f76303a9f50300aaf60301aaf70302aaf80303aa74070010130580d2814640f9" +
    "33000094f10300aae00315aae10316aae20317aae30318aa20023fd6e04b00b9" +
    "c0030034b60300b4814a40f928000094f10300aae00316aae103019120023fd6" +
    "e04b40b9e12340f9825a40f93f0002eb410200541f2c0071a1020054730600f1" +
    "c1000054600080d2e81480d2010000d420020035330080d201109ed2415fa0f2" +
    "ff0704a9e0030191010080d2a80c80d2010000d4daffff17f76343a9f55b42a9" +
    "f35341a9fd7bc5a8c0035fd6972204910200001497820291814e40f904000094" +
    "010040f9380080d277feff17000080d290000010101240f9110240f920021fd6",
} as const;

/**
 * The engine reserves the structures' space as writable, though it makes the used part writable anyway. Reserved as readable,
 * it does not count as data. These are the call's arguments, their replacements, and the number of calls, because most
 * compilers unroll the loop around it.
 */
const STRUCTURE_HEAP: Replacements = {
  x64: {
    found: "bafbffffff31c941b8010000004531c9",
    wanted: "bafbffffff31c941b8000000004531c9",
  },
  arm64: { found: "82008012e3031faa24008052", wanted: "82008012e3031faa04008052" },
};
const STRUCTURE_HEAP_CALLS = [1, 8];

/** The machine code for an architecture. */
export function entryCode(architecture: keyof typeof CODE): Buffer {
  return Buffer.from(CODE[architecture], "hex");
}

/**
 * Makes `runtime`, an ELF executable, start with our code; changes the bytes in place.
 *
 * @throws {Error} if the runtime is not built as expected.
 */
export function setEntry(runtime: Buffer): void {
  const elf = new Elf(runtime);
  const structures = STRUCTURE_HEAP[elf.architecture];
  replaceCode(runtime, structures, STRUCTURE_HEAP_CALLS, "reserves its structures' space");
  const place = elf.symbol(PLACE);
  const code = entryCode(elf.architecture);
  const behindCode = new EntryData(place.address + code.length);
  behindCode.number(elf.symbol("environ").address).number(elf.entry);
  behindCode.text(NO_MEMORY).number(NO_MEMORY.length);
  behindCode.number(elf.slot("dlsym")).text("mallopt\0");
  behindCode.number(elf.slot("getcwd")).number(elf.slot("pthread_getattr_np"));
  behindCode.text("/proc/self/maps\0");
  for (const name of ["getattr_np", "attr_init", "attr_setstack"]) {
    behindCode.text(`pthread_${name}\0`);
  }
  behindCode.number(elf.slot("mmap")).text("mmap\0").number(ARENA.length).number(ARENA.start);
  behindCode.number(elf.slot("pthread_create")).text("pthread_create\0");
  behindCode.text("pthread_attr_getstacksize\0").text("program_invocation_name\0");
  behindCode.text(NO_THREAD).number(NO_THREAD.length).number(ENGINE_THREAD_STACK);
  behindCode.text("fork\0").text(`${STAGE}=daemon\0`);
  const leader = Buffer.from(`${STAGE}=session:`, "latin1"); // of 21 bytes, which the code knows
  for (const at of [0, 8, 16]) behindCode.prefix(leader.subarray(at));
  behindCode.number(0).number(elf.slot("getrlimit"));
  behindCode.text(REFUSED_THREAD).number(REFUSED_THREAD.length);
  behindCode.number(elf.slot("sigaction")).text("sigaction\0");
  for (const { resource, minimum, text } of LIMITS) {
    behindCode.number(resource).number(minimum).text(text).number(text.length);
  }
  behindCode.number(0);
  for (const { length, protection } of ROOM) behindCode.number(length).number(protection);
  behindCode.number(0);
  behindCode.number(ARENA.room).text(`${ARENA.setting}\0`).text(`${ARENA.settingForLess}\0`);
  for (const setting of SETTINGS) behindCode.text(`${setting}\0`);
  behindCode.number(0);
  for (const names of [DAEMONS, ERRANDS]) {
    for (const name of names) behindCode.prefix(Buffer.from(name, "latin1"));
    behindCode.number(0);
  }
  for (const setting of SETTINGS_OF_OTHERS) behindCode.text(`${setting}\0`);
  behindCode.number(0);
  for (const prefix of CLOSED_PREFIXES) {
    // In the form the code compares: at most 8 characters, with bit 5 of each set.
    behindCode.prefix(Buffer.from(prefix, "latin1").map((byte) => byte | 0x20));
  }
  behindCode.number(0);
  const whole = Buffer.concat([code, behindCode.done()]);
  if (whole.length > place.size) throw new Error(`${PLACE} has ${place.size} bytes only`);
  whole.copy(runtime, elf.offset(place.address));
  elf.entry = place.address;
}

/** The 8-byte words after the code, followed by the texts whose addresses they contain. */
class EntryData {
  readonly #start: number;
  readonly #words: (Uint8Array | { readonly text: string })[] = [];

  /** @param start address of the first word. */
  constructor(start: number) {
    this.#start = start;
  }

  number(value: number): this {
    const word = Buffer.alloc(8);
    word.writeBigUInt64LE(BigInt(value));
    return this.bytes(word);
  }

  bytes(word: Uint8Array): this {
    this.#words.push(word);
    return this;
  }

  /** The first 8 bytes of a name, as a mask and a value. */
  prefix(name: Uint8Array): this {
    const bytes = name.subarray(0, 8);
    this.bytes(Buffer.alloc(8).fill(0xff, 0, bytes.length));
    return this.bytes(Buffer.concat([bytes, Buffer.alloc(8 - bytes.length)]));
  }

  /** The address of a text. */
  text(text: string): this {
    this.#words.push({ text });
    return this;
  }

  done(): Buffer {
    const texts: Buffer[] = [];
    let address = this.#start + 8 * this.#words.length;
    const words = this.#words.map((word) => {
      if (word instanceof Uint8Array) return word;
      const text = Buffer.from(word.text, "latin1");
      const pointer = Buffer.alloc(8);
      pointer.writeBigUInt64LE(BigInt(address));
      texts.push(text);
      address += text.length;
      return pointer;
    });
    return Buffer.concat([...words, ...texts]);
  }
}
