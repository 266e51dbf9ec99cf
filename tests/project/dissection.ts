// Dissects a credential byte by byte, as a table for docs/protocol.md. It uses only node:crypto, in the plainest form, so
// that it is an independent check of lib/credential.
import { createDecipheriv, createHash, createHmac } from "node:crypto";

interface Field {
  readonly part: "OUTER" | "MAC" | "INNER" | "padding";
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly meaning: string;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The fields of an uncompressed credential with aes128 and sha256, made with this key. */
function takeApart(credential: string, key: Uint8Array): { fields: Field[]; derived: string[][] } {
  const raw = Buffer.from(credential.slice("MUNGE:".length, -1), "base64");
  const fields: Field[] = [];
  let at = 0;
  const take = (
    source: Uint8Array,
    part: Field["part"],
    name: string,
    length: number,
    meaning: (bytes: Buffer) => string,
  ) => {
    const bytes = Buffer.from(source.subarray(at, at + length));
    at += length;
    fields.push({ part, name, bytes, meaning: meaning(bytes) });
    return bytes;
  };
  const u32 = (bytes: Buffer) => String(bytes.readUInt32BE());
  const id = (bytes: Buffer) => bytes.readUInt32BE() === 0xffff_ffff ? "anyone" : u32(bytes);

  take(raw, "OUTER", "version", 1, () => "3");
  take(raw, "OUTER", "cipher", 1, () => "aes128");
  take(raw, "OUTER", "MAC type", 1, () => "sha256");
  take(raw, "OUTER", "compression", 1, () => "none");
  take(raw, "OUTER", "realm length", 1, () => "no realm");
  const iv = take(raw, "OUTER", "IV", 16, () => "random; as long as the cipher's block");
  const outer = raw.subarray(0, at);
  const mac = take(raw, "MAC", "MAC", 32, () => "HMAC-SHA256(MAC subkey, OUTER then INNER)");
  const encrypted = raw.subarray(at);

  const sha1 = (label: string) => createHash("sha1").update(key).update(label).digest();
  const dekSubkey = sha1("1");
  const macSubkey = sha1("2");
  const dek = createHmac("sha256", dekSubkey).update(mac).digest().subarray(0, 16);
  const inner = createDecipheriv("aes-128-cbc", dek, iv);
  const plain = Buffer.concat([inner.update(encrypted), inner.final()]);
  const expected = createHmac("sha256", macSubkey).update(outer).update(plain).digest();
  if (!expected.equals(mac)) throw new Error("The MAC does not match");

  at = 0;
  take(plain, "INNER", "salt", 8, () => "random");
  take(plain, "INNER", "address length", 1, () => "4 bytes: IPv4");
  take(plain, "INNER", "origin address", 4, (bytes) => bytes.join("."));
  take(
    plain,
    "INNER",
    "encode time",
    4,
    (bytes) => new Date(bytes.readUInt32BE() * 1000).toISOString().replace(".000", ""),
  );
  take(plain, "INNER", "TTL", 4, (bytes) => `${u32(bytes)} s`);
  take(plain, "INNER", "UID", 4, u32);
  take(plain, "INNER", "GID", 4, u32);
  take(plain, "INNER", "UID restriction", 4, id);
  take(plain, "INNER", "GID restriction", 4, id);
  const length = take(plain, "INNER", "payload length", 4, u32).readUInt32BE();
  take(plain, "INNER", "payload", length, (bytes) => `"${bytes}"`);
  const padding = encrypted.length - plain.length;
  at = 0;
  take(
    new Uint8Array(padding).fill(padding),
    "padding",
    "PKCS#7",
    padding,
    () => `${padding} bytes of ${padding}`,
  );

  return {
    fields,
    derived: [
      ["Key file", hex(key)],
      ['DEK subkey = SHA1(key, "1")', hex(dekSubkey)],
      ['MAC subkey = SHA1(key, "2")', hex(macSubkey)],
      ["DEK = HMAC-SHA256(DEK subkey, MAC), 16 bytes of it", hex(dek)],
      ["INNER and padding, encrypted", hex(encrypted)],
    ],
  };
}

function table(rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows.map((cells) => `| ${cells.join(" | ")} |`);
  return [head, `|${rows[0]!.map(() => "---|").join("")}`, ...body].join("\n");
}

/** The dissection in Markdown. */
export function dissect(credential: string, key: Uint8Array): string {
  const { fields, derived } = takeApart(credential, key);
  const code = (text: string) => `\`${text}\``;
  let part = "";
  let offset = 0;
  const rows = fields.map((field) => {
    // Offsets restart in INNER, which is encrypted as one piece with its padding.
    if (field.part === "INNER" && part !== "INNER") offset = 0;
    const row = [
      field.part === part ? "" : field.part,
      String(offset),
      code(hex(field.bytes)),
      field.name,
      field.meaning,
    ];
    part = field.part;
    offset += field.bytes.length;
    return row;
  });
  return [
    `    ${credential}`,
    table([["secret", "bytes"], ...derived.map(([name, bytes]) => [name!, code(bytes!)])]),
    table([["part", "at", "bytes", "field", "meaning"], ...rows]),
  ].join("\n\n");
}
