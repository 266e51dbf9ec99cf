// Users and groups from the system's name service, through libc, so that LDAP and SSSD work, not just /etc/passwd.
import {
  canCallLibc,
  clearErrno,
  cString,
  errno,
  FFIType,
  fixedMemory,
  openLibc,
  type Pointer,
  ptr,
  read,
  SystemError,
  textBeforeNul,
} from "./libc.ts";
import { nameServiceRecord } from "./libc_fallbacks.ts";

const { i32, ptr: pointer, u32, u64 } = FFIType;
/** Opened on the first look-up, because few runs of a client need one and opening takes time. */
function openNameService() {
  return openLibc({
    getpwnam_r: { args: [pointer, pointer, pointer, u64, pointer], returns: i32 },
    getpwuid_r: { args: [u32, pointer, pointer, u64, pointer], returns: i32 },
    getgrnam_r: { args: [pointer, pointer, pointer, u64, pointer], returns: i32 },
    getgrgid_r: { args: [u32, pointer, pointer, u64, pointer], returns: i32 },
    setgrent: { args: [], returns: FFIType.void },
    getgrent: { args: [], returns: pointer },
    endgrent: { args: [], returns: FFIType.void },
  });
}

let nameService: ReturnType<typeof openNameService> | undefined;

function libc(): ReturnType<typeof openNameService> {
  return nameService ??= openNameService();
}

// struct passwd: name, passwd (pointers), uid, gid (u32) ...; struct group: name, passwd (pointers),
// gid (u32), members (pointer to pointers). These come first and have the same layout on 64-bit Linux, macOS and
// FreeBSD; the rest of struct passwd differs and is not used.
const NAME = 0;
const ID = 16;
const PASSWD_GID = 20;
const GROUP_MEMBERS = 24;
const RECORD_LENGTH = 128;

const ERANGE = 34;
/** Maximum size of an answer; a group with many members needs a lot. */
const MAX_BUFFER_LENGTH = 64 << 20;

/** A user in the name service. */
export interface User {
  readonly name: string;
  /** The name in the name service's own encoding. */
  readonly nameBytes: Uint8Array;
  readonly uid: number;
  /** The user's primary group. */
  readonly gid: number;
}

/** A group in the name service. */
export interface Group {
  readonly name: string;
  /** The name in the name service's own encoding. */
  readonly nameBytes: Uint8Array;
  readonly gid: number;
}

/** A record of struct passwd or struct group, with the texts that it points to. */
interface NameRecord {
  readonly fields: DataView;
  readonly texts: Uint8Array;
}

/** Calls a get..._r function with a growing buffer. Returns the record, or undefined if there is none. */
function lookUp(
  call: (record: Uint8Array, buffer: Uint8Array, length: number, result: BigUint64Array) => number,
): NameRecord | undefined {
  const record = new Uint8Array(fixedMemory(RECORD_LENGTH));
  const result = new BigUint64Array(1);
  for (let length = 4096; length <= MAX_BUFFER_LENGTH; length *= 4) {
    const texts = new Uint8Array(fixedMemory(length)); // the record contains its address
    const error = call(record, texts, length, result);
    if (error === ERANGE) continue;
    // Any other error means "not found", because POSIX lets systems report absence as an error.
    if (error !== 0 || result[0] === 0n) return undefined;
    return { fields: new DataView(record.buffer), texts };
  }
  return undefined;
}

function nameIn({ fields, texts }: NameRecord): { name: string; nameBytes: Uint8Array } {
  const start = Number(fields.getBigUint64(NAME, true)) - ptr(texts);
  if (start < 0 || start >= texts.length) throw new Error("The name is outside its buffer");
  return {
    name: textBeforeNul(texts, start),
    nameBytes: texts.slice(start, texts.indexOf(0, start)),
  };
}

function userIn(record: NameRecord | undefined): User | undefined {
  if (record === undefined) return undefined;
  const { fields } = record;
  return {
    ...nameIn(record),
    uid: fields.getUint32(ID, true),
    gid: fields.getUint32(PASSWD_GID, true),
  };
}

function groupIn(record: NameRecord | undefined): Group | undefined {
  if (record === undefined) return undefined;
  return { ...nameIn(record), gid: record.fields.getUint32(ID, true) };
}

/** A user's or group's name: text, or the bytes of one that is not UTF-8. */
type Name = string | Uint8Array;

/** The user called `name`, if there is one. */
export function userByName(name: Name): User | undefined {
  if (!canCallLibc()) return asUser(recordByName("passwd", name));
  const text = cString(name);
  return userIn(lookUp((...rest) => libc().getpwnam_r(text, ...rest)));
}

/** The user with this UID, if there is one. */
export function userById(uid: number): User | undefined {
  if (!canCallLibc()) return asUser(nameServiceRecord("passwd", uid));
  return userIn(lookUp((...rest) => libc().getpwuid_r(uid, ...rest)));
}

/** The group called `name`, if there is one. */
export function groupByName(name: Name): Group | undefined {
  if (!canCallLibc()) return asGroup(recordByName("group", name));
  const text = cString(name);
  return groupIn(lookUp((...rest) => libc().getgrnam_r(text, ...rest)));
}

/** The group with this GID, if there is one. */
export function groupById(gid: number): Group | undefined {
  if (!canCallLibc()) return asGroup(nameServiceRecord("group", gid));
  return groupIn(lookUp((...rest) => libc().getgrgid_r(gid, ...rest)));
}

/** A record from the system's programs. Their arguments can only be text. */
function recordByName(database: "passwd" | "group", name: Name): string[] | undefined {
  return typeof name === "string" ? nameServiceRecord(database, name) : undefined;
}

function asUser(record: readonly string[] | undefined): User | undefined {
  if (record === undefined) return undefined;
  return { ...nameOf(record), uid: Number(record[2]), gid: Number(record[3]) };
}

function asGroup(record: readonly string[] | undefined): Group | undefined {
  return record === undefined ? undefined : { ...nameOf(record), gid: Number(record[2]) };
}

function nameOf([name]: readonly string[]): { name: string; nameBytes: Uint8Array } {
  return { name: name!, nameBytes: new TextEncoder().encode(name) };
}

/**
 * The supplementary groups of every user who has any: GIDs by UID, without duplicates. Members unknown to the name
 * service are left out. Only one thread at a time may call this.
 *
 * @throws {SystemError} if the name service fails half-way, so that no partial result is used.
 */
export function supplementaryGroups(): Map<number, number[]> {
  const uids = new Map<string, number | undefined>();
  const groups = new Map<number, number[]>();
  libc().setgrent();
  try {
    for (;;) {
      clearErrno();
      const record = libc().getgrent() as Pointer | null;
      if (record === null) {
        // Some back ends leave ENOENT in errno at the end of their list.
        if (errno() !== 0 && errno() !== 2) throw new SystemError("getgrent");
        return groups;
      }
      addMembers(groups, uids, record);
    }
  } finally {
    libc().endgrent();
  }
}

function addMembers(
  groups: Map<number, number[]>,
  uids: Map<string, number | undefined>,
  record: Pointer,
): void {
  const gid = read.u32(record, ID);
  const members = read.ptr(record, GROUP_MEMBERS);
  if (members === 0) return; // some back ends return no list at all for a group without members
  for (let at = 0;; at += 8) {
    const member = read.ptr(members as Pointer, at) as Pointer | 0;
    if (member === 0) return;
    const name = bytesOf(member);
    if (!uids.has(name)) uids.set(name, uidOf(member));
    const uid = uids.get(name);
    if (uid === undefined) continue;
    const gids = groups.get(uid);
    if (gids === undefined) groups.set(uid, [gid]);
    else if (!gids.includes(gid)) gids.push(gid);
  }
}

/** The UID of the user whose name, in any encoding, is at an address. */
function uidOf(name: Pointer): number | undefined {
  const record = lookUp((...rest) => libc().getpwnam_r(name as never, ...rest));
  return record?.fields.getUint32(ID, true);
}

/** The bytes of a C string as one character each, because names that are not UTF-8 must stay distinct. */
function bytesOf(text: Pointer): string {
  let bytes = "";
  for (let at = 0;; at++) {
    const byte = read.u8(text, at);
    if (byte === 0) return bytes;
    bytes += String.fromCharCode(byte);
  }
}
