;; Makes a million handles and gives none back.
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $made i32)
  (loop $again
    (drop (call $after (i64.const 1)))
    (local.set $made (i32.add (local.get $made) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $made) (i32.const 1000000))))
  (i32.const 1024))
