/**
 * Calls a VettID gateway from a program of its service. The types of all calls are made from the gateway's own description
 * (`schema.ts`); nothing here repeats a call by itself.
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";

/** What a gateway answers, by name: `Schemas["Connection"]`. */
export type Schemas = components["schemas"];

/** A gateway, called with one key. */
export type GatewayClient = Client<paths>;

/** Which gateway is called, and with which key. */
export interface GatewayOptions {
  /** Where it listens, such as `http://127.0.0.1:8090`. */
  address: string;
  /** An API key with the scopes of the calls that will be made. */
  key: string;
}

/** A gateway to be called: `client.GET("/v1/connections")`. */
export function gatewayClient(options: GatewayOptions): GatewayClient {
  return createClient<paths>({
    baseUrl: options.address.replace(/\/+$/, ""),
    headers: { authorization: `Bearer ${options.key}` },
    redirect: "error",
  });
}

/** An event of a gateway, once it was verified. */
export interface GatewayEvent {
  /** Names the event; the same each time it arrives. */
  id: string;
  /** What it is about, such as `request.answered`. */
  type: string;
  /** When it happened. */
  timestamp: string;
  /** Ids and states. */
  data: Record<string, unknown>;
}

/** The oldest event that is taken, in seconds. */
const TOLERANCE_SECONDS = 300;

/**
 * Verifies an event (Standard Webhooks) and reads it. `body` is the text exactly as it arrived, `header` gives a header of
 * the call. Throws if the event is not signed by `secret` or is older than five minutes.
 */
export async function readEvent(
  secret: string,
  header: (name: string) => string | null | undefined,
  body: string,
  nowSeconds: number = Date.now() / 1000,
): Promise<GatewayEvent> {
  const id = header("webhook-id");
  const timestamp = header("webhook-timestamp");
  const signatures = header("webhook-signature")?.split(" ") ?? [];
  if (!id || !timestamp || !(Math.abs(nowSeconds - Number(timestamp)) <= TOLERANCE_SECONDS)) {
    throw new Error("the event has no valid time or id");
  }
  const bytes = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(secret.replace(/^whsec_/, "")), hmac, false, ["verify"]);
  const signed = new TextEncoder().encode(`${id}.${timestamp}.${body}`);
  for (const signature of signatures) {
    if (signature.startsWith("v1,") && (await crypto.subtle.verify("HMAC", key, bytes(signature.slice(3)), signed))) {
      return { id, ...(JSON.parse(body) as Omit<GatewayEvent, "id">) };
    }
  }
  throw new Error("the event is not signed by this secret");
}
