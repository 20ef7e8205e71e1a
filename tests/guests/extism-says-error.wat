;; Extism: fails as kits do, with a text and another result than 0.
(import "extism:host/env" "error_set" (func $error_set (param i64)))
(func (export "prompt") (result i32) (call $error_set (call $put (i32.const 1024))) (i32.const 1))
(func (export "validate") (result i32) (call $say (i32.const 1056)) (i32.const 0))
(data (i32.const 1024) "oops\00")
(data (i32.const 1056) "{\"error\":{\"unavailable\":\"later\"}}\00")
