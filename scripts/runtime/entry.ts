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
    "1831d241ba08000000b80d0000000f054c8d252108000041be01000000498b3c" +
    "244885ff746e488db42470ffffffb8610000000f0585c07555488b842470ffff" +
    "ff493b4424084d8d6c24100f82c600000083ff077538483d0001000077304189" +
    "c74531c941ffcf4183ff0372174489ffbe01000000b8480000000f05c1e81f41" +
    "01c1ebe04183f9030f82890000004983c420eb894889c54983c4084c8d2d7e06" +
    "000041be05000000498b34244983c4084885f67432498b14244983c40831ff41" +
    "ba2240000049c7c0ffffffff4531c9b8090000000f054885c0783c4889c7b80b" +
    "0000000f05ebc1498b34244d8b7c240831ff31d2b8090000000f054885c04d0f" +
    "487c24104d8d642418784e4889c7b80b0000000f05eb42488b7424084889f28a" +
    "0248ffc23c2f480f44f284c075f148ffca4829f2bf02000000b8010000000f05" +
    "498b7500498b5508b8010000000f054489f7b8e70000000f05488b0c24488d74" +
    "cc10488b064883c6084885c075f4488b064883c6104885c075f44829e64889e7" +
    "4829f74881fd0000100073364881c60000120031ffba03000000b8090000000f" +
    "054885c00f886dffffff4889c7be0000010031d2b80a0000000f054881c70000" +
    "12004881ef800000004883e7f04989f94889e6488b0c244883c102fcf348a548" +
    "8b052a0500004889384c89f848ab498b04244983c4084885c0740448abebef48" +
    "8b4c24084889ca8a0248ffc23c2f480f44ca84c075f1488b1131c9488b442410" +
    "4885c07403488b084531ed498b04244983c4084885c074264d8b04244983c408" +
    "4989c24921d24d39c2410f94c24821c84c39c00f94c04408d04108c5ebcd488d" +
    "542410488b0a4883c2084885c97420488b094d89e0498b004885c074e64821c8" +
    "493b40084d8d401075eb4531edebd4498b04244983c4084885c074064983c408" +
    "ebed498b04244983c4084885c074094585ed75ee48abebea49bb202020202020" +
    "202048ad4885c07424488b104c09da4c89e14c8b014d85c0740f4921d04c3b41" +
    "0874df4883c110ebe948abebd548ab48ad4889c148ab48ad48ab4885c975f04c" +
    "89cc31ff488b352d040000488b051e040000ff104885c0740cbff8ffffffbe01" +
    "000000ffd04585ed0f84950000004c8b25db0300004d8b2424498b34244983c4" +
    "084885f6747d488d0d8b040000488b06482301483b410875e04883c6084883c1" +
    "104883390075e64883ee034531f60fb60648ffc685c0741183e83083f8097743" +
    "456bf60a4101c6ebe5b86e0000000f054439f0752e488b352c040000e8560300" +
    "004885c0741dffd085c07817740931ffb8e70000000f05488b05120400004989" +
    "4424f8b84f000000488dbc2480efffffbe001000000f054885c07911488b055d" +
    "030000488d0daa000000488908488b051c040000488d0d5a0100004889084881" +
    "fd0000100072404585ed743bb802000000488b3d3803000031f60f054885c078" +
    "264889c7b8030000000f0531ffbe0300000031d24c8d942470ffffffb82e0100" +
    "000f0585c07411488b05fa020000488d0d48000000488908488b051103000048" +
    "8d0d55010000488908488b0520030000488d0da3010000488908488b05a70300" +
    "00488d0d040100004889084889daff258402000066c7072f004889f8c3534154" +
    "4883ec184889f34989fcb8270000000f054189c0b8ba0000000f054439c07416" +
    "488b3591020000e82b0200004c89e74889deffd0eb77488b3583020000e81502" +
    "00004889dfffd0488b357a020000e8040200004989c0b861000000bf03000000" +
    "4889e648c70424ffffffff0f05488b1424b9000080004839ca480f47d1b90000" +
    "10004839ca480f42d14881e200f0ffff488b35d9010000488b364881ceff0f00" +
    "0048ffc64829d64889df41ffd04883c418415c5bc3b8610000000f0585c07419" +
    "83c8ff83ff03752348c7060000800048c74608ffffffff31c083ff03750db900" +
    "00100048390e730348890ec34885f6740983be8800000000781e575652488b35" +
    "8c020000e84e010000488b15780200004889025a5e5fffe031c0c34989cab809" +
    "0000000f05483d00f0ffff7726483b35ac010000751c85d27518504889c7488b" +
    "35a3010000ba03000000b80a0000000f0558c35756524152415041514883ec08" +
    "488b3571010000e8eb0000004883c40841594158595a5e5fffe0535541544155" +
    "41564883ec104889fb4989f44989d54989cebd28000000488b355a010000e8b4" +
    "0000004889df4c89e64c89ea4c89f1ffd08944240885c074674d85e47462488b" +
    "353b010000e88d0000004c89e74889e6ffd08b442408488b0d4301000048390c" +
    "24753d83f80b7545ffcd7512b89d000000bf030000000f0585c0753affc548c7" +
    "04240000000048c744240880f0fa024889e731f6b8230000000f05e977ffffff" +
    "4883c410415e415d415c5d5bc34c8d2d44010000eb074c8d2dd3000000488b35" +
    "c4000000e80e000000488b3041be01000000e925faffff31ff488b0530000000" +
    "ff2066662e0f1f8400000000000f1f00",
  arm64: "f30300aac00380d2e10303d13f7c00a93f7c01a9020080d2030180d2c81080d2" +
    "010000d4743b001095a20491380080d2a10240f9410400b4000080d2020080d2" +
    "e34302d1a82080d21a008092010000d42003f8b7e10357f8fa0301aaa20640f9" +
    "b74200913f0002eb03070054a90240f93f1d00f1010200543f0004f1c8010054" +
    "f90301aa160080d2390700d13f0f00f1e3000054e00319aa210080d2280380d2" +
    "010000d4d6fe408bf8ffff17df0e00f1c3040054b5820091deffff17b5220091" +
    "97420091b80080d2a18640f8c10100b4a28640f8000080d2430488d204008092" +
    "050080d2c81b80d2f60301aa010000d4c002f8b7e10316aae81a80d2010000d4" +
    "f2ffff17b666c1a8000080d2e10316aa020080d2430488d204008092050080d2" +
    "c81b80d2010000d4a98640f8a000f8b7e10316aae81a80d2010000d414000014" +
    "f90309aa12000014e10740f9e20301aa431440387fbc00714100819aa3ffff35" +
    "420400d1420001cb400080d2080880d2010000d4e10a40a9400080d2010000d4" +
    "e00318aac80b80d2010000d4e90340f9ea030091290900914b0d098b6c8540f8" +
    "ecffffb56c0541f8ecffffb56b010acb4c010bcb5f0344f182010054000080d2" +
    "61814491620080d2c81b80d2010000d4c0fbffb70c8044912100a0d2020080d2" +
    "481c80d2010000d48c0102d18ced7c92ed030caa4e8540f88e8500f8290500f1" +
    "a1ffff54810240f92c0000f9998500f8ae8640f86e0000b48e8500f8fdffff17" +
    "e19340a9e20301aa431440387fbc00714100819aa3ffff35220040f9440000b4" +
    "840040f9010080d2a38640f8230100b4a58640f86600028adf0005eb21149f9a" +
    "6600048adf0005eb21149f9af7ffff17e2430091438440f8430100b4630040f9" +
    "e40315aa8518c1a865ffffb4a500038abf0006eb81ffff54010080d2f6ffff17" +
    "a38640f8630000b4b5220091fdffff17ae8640f88e0000b4c1ffffb58e8500f8" +
    "fcffff17f60301aaf0c303b24e8540f88e0100b4d10140f9310210aae30315aa" +
    "6414c1a8a40000b48400118a9f0005ebe0feff54fbffff178e8500f8f4ffff17" +
    "9f8500f84415c1a8841581a8c4ffffb5bf010091000080d2900642a9110240f9" +
    "20023fd6a00000b4f10300aae0008092210080d220023fd6f60400b4950240f9" +
    "b50240f9a18640f8610400b4822203914310c1a8c30000b4258440f8a500038a" +
    "bf0004eb01ffff54faffff17210c00d1160080524301805222144038c2000034" +
    "42c000515f24007168020054d60a031bfaffff17a81580d2010000d41f00166b" +
    "a1010054815e40f9f3000094400100b4f10300aa20023fd6e000f83780000034" +
    "000080d2c80b80d2010000d4816240f9a1821ff8e00740d1000002d1010082d2" +
    "280280d2010000d48000f8b6811a40f9c2040010220000f9818240f9620b0010" +
    "220000f95f0344f123020054160200b4600c8092812240f9020080d2080780d2" +
    "010000d44001f8b7280780d2010000d4000080d2610080d2020080d2e34302d1" +
    "a82080d2010000d4800000b4811e40f922020010220000f9813240f9420d0010" +
    "220000f9814240f9a2100010220000f9818e40f9220a0010220000f9e00313aa" +
    "910640f920021fd6e105805201000079c0035fd6fd7bbca9f35301a9f51300f9" +
    "f30301aaf50300aa54170010881580d2010000d4e103002a481680d2010000d4" +
    "1f00016b00010054812640f9aa000094f10300aae00315aae10313aa20023fd6" +
    "1e000014812a40f9a3000094f10300aae00313aa20023fd6812e40f99e000094" +
    "f10300aa600080d201008092e11b00f9e1c30091681480d2010000d4e21b40f9" +
    "0110a0d25f0001eb2280829a0102a0d25f0001eb2230829a42cc7492810240f9" +
    "210040f9212c40b221040091210002cbe00313aa20023fd6f51340f9f35341a9" +
    "fd7bc4a8c0035fd6e903002ae30301aa681480d2010000d4000100b400008092" +
    "3f0d0071810100540110a0d202008092610800a9000080d23f0d0071c1000054" +
    "610040f90202a0d23f0002eb4130819a610000f9c0035fd6610000b4238840b9" +
    "e301f837fd7bbda9e00701a9e21300f9090e0010219140f967000094f10300aa" +
    "890d0010298d40f9310100f9e00741a9e21340f9fd7bc3a820021fd6000080d2" +
    "c0035fd6e90300aac81b80d2010000d41ffc3fb1a8010054c90b00102a2d47a9" +
    "3f000aeb01010054e2000035e90300aae1030baa620080d2481c80d2010000d4" +
    "e00309aac0035fd6fd7bbca9e90701a9e20f02a9e41703a9c9090010213540f9" +
    "45000094f10300aae00741a9e20f42a9e41743a9fd7bc4a820021fd6fd7bbba9" +
    "f35301a9f55b02a9f76303a9f50300aaf60301aaf70302aaf80303aab4070010" +
    "130580d2814640f933000094f10300aae00315aae10316aae20317aae30318aa" +
    "20023fd6e04b00b9c0030034b60300b4814a40f928000094f10300aae00316aa" +
    "e103019120023fd6e04b40b9e12340f9825a40f93f0002eb410200541f2c0071" +
    "a1020054730600f1c1000054600080d2e81480d2010000d420020035330080d2" +
    "01109ed2415fa0f2ff0704a9e0030191010080d2a80c80d2010000d4daffff17" +
    "f76343a9f55b42a9f35341a9fd7bc5a8c0035fd6972204910200001497820291" +
    "814e40f904000094010040f9380080d277feff17000080d2d0000010101240f9" +
    "110240f920021fd61f2003d51f2003d5",
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
