/**
 * The demo clinic: asks its patients for their consent and for their signature under a document, and keeps findings in their vaults
 * instead of its own rooms. In TypeScript, with the client that is made from the gateway's description.
 *
 *     export VETTID_GATEWAY=http://127.0.0.1:8093 VETTID_KEY_FILE=api.key
 *     node clinic.js invite
 *     node clinic.js patients
 *     node clinic.js allergies CONNECTION
 *     node clinic.js consent CONNECTION "Send the findings to your family doctor" 2027-06-30T00:00:00.000Z consent.json
 *     node clinic.js sign CONNECTION operation.pdf signature.json
 *     node clinic.js store CONNECTION blood-2026-11 findings.json
 *     node clinic.js read CONNECTION blood-2026-11
 *     node clinic.js remind CONNECTION "Your appointment" "On Friday at 9:00."
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { type GatewayClient, type Schemas, gatewayClient } from "@vettid/gateway-client";

/** One call waits a minute at most; a patient may take days. */
const WAIT_MS = 60_000;
/** The category of the contract in which findings are stored. */
const FINDINGS = "findings";

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** What a call gave, or the gateway's own words why it gave nothing. */
function given<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(`the gateway refused: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

/** Waits until the patient, or the time, decided. */
async function ended(gateway: GatewayClient, asked: Schemas["Request"]): Promise<Schemas["Request"]> {
  let request = asked;
  while (request.status === "asked" || request.status === "pending") {
    const params = { path: { request_id: request.request_id }, query: { wait_ms: WAIT_MS } };
    request = given(await gateway.GET("/v1/requests/{request_id}", { params }));
  }
  return request;
}

/** Asks for the patient's word and keeps the record of a yes or a no. */
async function word(
  gateway: GatewayClient,
  connection: string,
  about: Schemas["AuthorisationCall"],
  record: string,
): Promise<string> {
  if (existsSync(record)) throw new Error(`not asked: ${record} is there already; name another file for the record`);
  const params = { path: { connection_id: connection } };
  const body = { ...about, wait_ms: WAIT_MS };
  const asked = given(await gateway.POST("/v1/connections/{connection_id}/authorisations", { params, body }));
  const request = await ended(gateway, asked);
  if (request.status !== "approved" && request.status !== "denied") return request.status;
  const where = { params: { path: { request_id: request.request_id } }, parseAs: "text" } as const;
  // Never in place of another record, also if one came meanwhile; the gateway has this one, too.
  await writeFile(record, given(await gateway.GET("/v1/records/{request_id}", where)), { flag: "wx" });
  return `${request.status}; the record is in ${record}`;
}

/** All patients that are connected; a list comes in pages. */
async function connected(gateway: GatewayClient): Promise<Schemas["Connection"][]> {
  const patients: Schemas["Connection"][] = [];
  let cursor: string | undefined;
  do {
    const query = { state: "active", ...(cursor === undefined ? {} : { cursor }) };
    const page = given(await gateway.GET("/v1/connections", { params: { query } }));
    patients.push(...page.connections);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return patients;
}

async function run(command: string | undefined, rest: string[]): Promise<string> {
  const key = (await readFile(setting("VETTID_KEY_FILE"), "utf8")).trim();
  const gateway = gatewayClient({ address: setting("VETTID_GATEWAY"), key });
  const [connection = "", first = "", second = "", third = ""] = rest;
  switch (command) {
    case "invite":
      return given(await gateway.POST("/v1/invitations", {})).link;
    case "patients": {
      const patients = await connected(gateway);
      return patients.map((patient) => `${patient.connection_id} ${patient.display_name}`).join("\n");
    }
    case "allergies": {
      const params = { path: { connection_id: connection } };
      const body = { field: "allergies", purpose: "Before your appointment", wait_ms: WAIT_MS };
      const asked = given(await gateway.POST("/v1/connections/{connection_id}/data-requests", { params, body }));
      const request = await ended(gateway, asked);
      return request.status === "served" ? JSON.stringify(request.value) : request.status;
    }
    case "consent": {
      const consent = { purpose: "Your treatment", what: [first], until: second };
      return word(gateway, connection, { kind: "consent", ...consent }, third);
    }
    case "sign": {
      const bytes = await readFile(first);
      const sha256 = createHash("sha256").update(bytes).digest("base64");
      const name = basename(first);
      const document = { name, sha256, media_type: "application/pdf", size_bytes: bytes.length };
      return word(gateway, connection, { kind: "document", ...document }, second);
    }
    case "store": {
      const params = { path: { connection_id: connection } };
      const value: unknown = JSON.parse(await readFile(second, "utf8"));
      const body = { category: FINDINGS, name: first, value, wait_ms: WAIT_MS };
      const asked = given(await gateway.POST("/v1/connections/{connection_id}/stored", { params, body }));
      return (await ended(gateway, asked)).status;
    }
    case "read": {
      const params = {
        path: { connection_id: connection, category: FINDINGS, name: first },
        query: { wait_ms: WAIT_MS },
      };
      const asked = given(await gateway.GET("/v1/connections/{connection_id}/stored/{category}/{name}", { params }));
      const request = await ended(gateway, asked);
      return request.status === "done" ? JSON.stringify(request.result) : request.status;
    }
    case "remind": {
      const params = { path: { connection_id: connection } };
      const body = { kind: "information", subject: first, text: second, wait_ms: WAIT_MS };
      const sent = given(await gateway.POST("/v1/connections/{connection_id}/messages", { params, body }));
      const request = await ended(gateway, sent);
      return request.status === "refused" ? `refused: ${request.code}` : request.status;
    }
    default:
      throw new Error("one of: invite, patients, allergies, consent, sign, store, read, remind");
  }
}

const [command, ...rest] = process.argv.slice(2);
console.log(await run(command, rest));
