//! Tiny hostile components, written by hand in the text form of components.

/// A component of the world of handlers whose `handle` does this; it has a memory of one page, and may call `$put` with
/// pointer and length of a key, pointer and length of a value, and a pointer for the result.
pub(crate) fn component(handle: &str) -> String {
    format!(
        r#"(component
  {EXCHANGE}
  (alias export $exchange "host-error" (type $host-error))
  (import "vettid:handler/store@1.0.0" (instance $store
    (alias outer 1 $host-error (type $outer-error))
    (export "host-error" (type $error (eq $outer-error)))
    (export "put" (func (param "key" string) (param "value" (list u8)) (result (result (error $error)))))))
  (alias export $exchange "event" (type $event))
  (alias export $exchange "reply" (type $reply))
  (alias export $exchange "handler-error" (type $handler-error))
  (core module $memory-module (memory (export "memory") 1))
  (core instance $memory (instantiate $memory-module))
  (core func $put-lowered (canon lower (func $store "put") (memory (core memory $memory "memory"))))
  (core instance $imports (export "put" (func $put-lowered)))
  (core module $program
    (import "memory" "memory" (memory 1))
    (import "imports" "put" (func $put (param i32 i32 i32 i32 i32)))
    (global $top (mut i32) (i32.const 1024))
    (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $place i32)
      (local.set $place (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $place) (local.get 3)))
      (local.get $place))
    (func $deeper (param i32) (result i32)
      (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
    (func (export "handle") (param i32) (result i32) {handle}))
  (core instance $running (instantiate $program (with "memory" (instance $memory)) (with "imports" (instance $imports))))
  (func (export "handle") (param "event" $event) (result (result $reply (error $handler-error)))
    (canon lift (core func $running "handle") (memory (core memory $memory "memory")) (realloc (core func $running "realloc")))))"#
    )
}

/// A component that wants to see the environment.
pub(crate) const WASI: &str = r#"(component
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string))))))))"#;

/// A component that wants something of our own world that there is not.
pub(crate) const NETWORK: &str = r#"(component
  (import "vettid:handler/network@1.0.0" (instance (export "connect" (func (param "host" string))))))"#;

/// The types of the world, as components import them.
const EXCHANGE: &str = r#"(import "vettid:handler/exchange@1.0.0" (instance $exchange
    (type $lane' (enum "bootstrap" "owner" "app" "invite" "connection" "service" "member" "services"))
    (export "lane" (type $lane (eq $lane')))
    (type $tier' (enum "required" "optional" "on-demand" "consent"))
    (export "tier" (type $tier (eq $tier')))
    (type $permission' (enum "request-authentication" "request-payment" "send-messages" "store-data" "call"
      "request-consent" "request-signature" "request-proof"))
    (export "permission" (type $permission (eq $permission')))
    (type $decision' (enum "approve" "deny"))
    (export "decision" (type $decision (eq $decision')))
    (type $refusal-code' (enum "unsupported-event" "invalid-request" "not-allowed" "not-connected" "not-in-contract"
      "contract-mismatch" "rate-limited" "denied" "expired" "not-available" "not-found" "conflict" "locked" "unavailable"
      "on-hold" "spent" "no-room" "retention-too-long" "contract-frozen"))
    (export "refusal-code" (type $refusal-code (eq $refusal-code')))
    (type $service' (record (field "service-id" string) (field "contract-hash" string)
      (field "permissions" (list $permission)) (field "origins" (list string)) (field "tier" (option $tier))))
    (export "service" (type $service (eq $service')))
    (type $peer' (record (field "connection-id" string) (field "display-name" string) (field "service" (option $service))))
    (export "peer" (type $peer (eq $peer')))
    (type $decided' (record (field "decision" $decision) (field "decided-at" u64) (field "method" (list string))))
    (export "decided" (type $decided (eq $decided')))
    (type $answer' (variant (case "decided" $decided) (case "expired")))
    (export "answer" (type $answer (eq $answer')))
    (type $context' (record (field "event-id" string) (field "event-type" string) (field "lane" $lane)
      (field "occurred-at" u64) (field "peer" (option $peer)) (field "answer" (option $answer))))
    (export "context" (type $context (eq $context')))
    (type $event' (record (field "context" $context) (field "payload" (list u8))))
    (export "event" (type $event (eq $event')))
    (type $browser' (record (field "browser" string) (field "city" string) (field "ip-prefix" string)))
    (export "browser" (type $browser (eq $browser')))
    (type $data-ask' (record (field "field" string) (field "purpose" string)))
    (export "data-ask" (type $data-ask (eq $data-ask')))
    (type $login-ask' (record (field "origin" string) (field "display" $browser)))
    (export "login-ask" (type $login-ask (eq $login-ask')))
    (type $ask' (variant (case "data" $data-ask) (case "login" $login-ask)))
    (export "ask" (type $ask (eq $ask')))
    (type $question' (record (field "request-id" string) (field "ask" $ask) (field "expires-at" u64)
      (field "interim" (option (list u8)))))
    (export "question" (type $question (eq $question')))
    (type $reply' (variant (case "body" (list u8)) (case "none") (case "ask" $question)))
    (export "reply" (type $reply (eq $reply')))
    (type $handler-error' (variant (case "refuse" $refusal-code) (case "retry" string)))
    (export "handler-error" (type $handler-error (eq $handler-error')))
    (type $host-error' (enum "denied" "invalid" "quota" "not-connected" "unavailable"))
    (export "host-error" (type $host-error (eq $host-error')))))"#;
