;; Built for 0.10: a task and a verdict whose options are typed; 7.5 of 10, and to be done again.
(import "gantry:phase/job@0.10.0" "log" (func $log (param i32 i32 i32)))
(func (export "gantry:phase/prompt@0.10.0#prompt") (result i32)
  (call $log (i32.const 1) (i32.const 0x500) (i32.const 4))
  (i32.const 1024))
(func (export "gantry:phase/validate@0.10.0#validate") (result i32) (i32.const 1536))
;; One task: its name and prompt, then timeout 5, max-turns 3 and permissions edit.
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\04\00\00\00\10\05\00\00\08\00\00\00")
(data (i32.const 1088) "\01")
(data (i32.const 1112) "\01\00\00\00\00\00\00\00\05\00\00\00\00\00\00\00\01\00\00\00\03\00\00\00\01\00")
;; Revise, a message, score, fresh-session, no back-to.
(data (i32.const 1544) "\01\00\00\00\20\05\00\00\05\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00")
(data (i32.const 1568) "\00\00\00\00\00\00\1e\40\01")
(data (i32.const 0x500) "make")
(data (i32.const 0x510) "Make it.")
(data (i32.const 0x520) "Again")
