// doctor's table of causes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CAUSES, explain } from "../../../cli/doctor/causes.ts";
import type { Place } from "../../../cli/doctor/place.ts";

describe("the table of causes", () => {
  const place: Place = {
    socketPath: "/s",
    keyFile: "/k",
    user: "munge",
    start: "munged",
    restart: "munged",
    ownerOf: () => "root",
    isOwnDirectory: () => true,
  };

  it("matches each message to its own row", () => {
    // "..." stands for a path, a name or a number, with quotes where munged has them.
    const fillings = ['"/x/y"', "/x/y", "x", "1", "group"];
    const fill = (message: string): string[] =>
      message.includes("...")
        ? fillings.flatMap((filling) => fill(message.replace("...", filling)))
        : [message];
    const strangers = CAUSES.filter(({ message, text }) =>
      !fill(message).some((line) => explain(line, place)?.text === text)
    );
    assert.deepEqual(strangers.map(({ message }) => message), []);
  });
});
