// Users and groups from the system's name service, through libc, so that LDAP and SSSD work as well as /etc/passwd.
import {
  canCallLibc,
  clearErrno,
  CString,
  cString,
  errno,
  FFIType,
  openLibc,
  type Pointer,
  ptr,
  read,
  SystemError,
} from "./libc.ts";
import { nameServiceRecord } from "./substitutes.ts";

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
  readonly uid: number;
  /** The user's primary group. */
  readonly gid: number;
}

/** A group in the name service. */
export interface Group {
  readonly name: string;
  readonly gid: number;
}

/** Calls a get..._r function with a growing buffer. Returns the record's address, or null if there is none. */
function lookUp<T>(
  call: (record: Pointer, buffer: Pointer, length: number, result: Pointer) => number,
  readRecord: (record: Pointer) => T,
): T | undefined {
  const record = new Uint8Array(RECORD_LENGTH);
  const result = new BigUint64Array(1);
  for (let length = 4096; length <= MAX_BUFFER_LENGTH; length *= 4) {
    const buffer = new Uint8Array(length);
    const error = call(ptr(record), ptr(buffer), length, ptr(result));
    if (error === ERANGE) continue;
    // Any other error means "not found", because POSIX lets systems report absence as an error.
    return error !== 0 || result[0] === 0n ? undefined : readRecord(ptr(record));
  }
  return undefined;
}

function readName(record: Pointer): string {
  return new CString(read.ptr(record, NAME) as Pointer).toString();
}

function readUser(record: Pointer): User {
  return {
    name: readName(record),
    uid: read.u32(record, ID),
    gid: read.u32(record, PASSWD_GID),
  };
}

function readGroup(record: Pointer): Group {
  return { name: readName(record), gid: read.u32(record, ID) };
}

/** The user called `name`, if there is one. */
export function userByName(name: string): User | undefined {
  if (!canCallLibc()) return asUser(nameServiceRecord("passwd", name));
  const text = cString(name);
  return lookUp((...rest) => libc().getpwnam_r(ptr(text), ...rest), readUser);
}

/** The user with this UID, if there is one. */
export function userById(uid: number): User | undefined {
  if (!canCallLibc()) return asUser(nameServiceRecord("passwd", uid));
  return lookUp((...rest) => libc().getpwuid_r(uid, ...rest), readUser);
}

/** The group called `name`, if there is one. */
export function groupByName(name: string): Group | undefined {
  if (!canCallLibc()) return asGroup(nameServiceRecord("group", name));
  const text = cString(name);
  return lookUp((...rest) => libc().getgrnam_r(ptr(text), ...rest), readGroup);
}

/** The group with this GID, if there is one. */
export function groupById(gid: number): Group | undefined {
  if (!canCallLibc()) return asGroup(nameServiceRecord("group", gid));
  return lookUp((...rest) => libc().getgrgid_r(gid, ...rest), readGroup);
}

function asUser(record: readonly string[] | undefined): User | undefined {
  if (record === undefined) return undefined;
  return { name: record[0]!, uid: Number(record[2]), gid: Number(record[3]) };
}

function asGroup(record: readonly string[] | undefined): Group | undefined {
  return record === undefined ? undefined : { name: record[0]!, gid: Number(record[2]) };
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
  const members = read.ptr(record, GROUP_MEMBERS) as Pointer;
  for (let at = 0;; at += 8) {
    const member = read.ptr(members, at);
    if (member === 0) return;
    const name = new CString(member as Pointer).toString();
    if (!uids.has(name)) uids.set(name, userByName(name)?.uid);
    const uid = uids.get(name);
    if (uid === undefined) continue;
    const gids = groups.get(uid);
    if (gids === undefined) groups.set(uid, [gid]);
    else if (!gids.includes(gid)) gids.push(gid);
  }
}
