import type { Channel } from "../channel.ts";

/** How the other side behaves: each in the way of its protocol. */
export type Behaviour =
  | { does: "take" }
  /** Asks to come again later, and may say when. */
  | { does: "defer"; afterSeconds?: number }
  /** Has no room for anybody now. */
  | { does: "be busy" }
  | { does: "reject" | "be gone" | Misbehaviour };

export type Misbehaviour = "hang" | "answer at length" | "answer without end" | "answer nonsense" | "break off";

/** The other side of a channel, as it is run for a test. */
export interface Counterpart {
  /** With a time limit of a second. */
  channel: Channel;
  /** That the counterpart takes pushes for. */
  address: string;
  /** That cannot be sent to, whatever the other side says. */
  unusable: string;
  /** Of the endpoint: whatever it wants, if not given. */
  secret?: Uint8Array;
  behave(behaviour: Behaviour): void;
  /** Where it listens, where others need to know. */
  url?: string;
  /** What it took. */
  readonly taken: readonly { id: string }[];
  close(): Promise<void>;
}
