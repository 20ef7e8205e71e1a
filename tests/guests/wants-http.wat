;; Imports a part of WASI that no plugin gets.
(import "wasi:http/outgoing@0.2.0" "send" (func $send))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (call $send) (i32.const 1024))
