;; Asks for a hundred tasks whose prompts are all the same megabyte of its memory.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $at i32)
  (drop (memory.grow (i32.const 32)))
  (local.set $at (i32.const 16384))
  (loop $again
    (i32.store (local.get $at) (i32.const 0x500))
    (i32.store offset=4 (local.get $at) (i32.const 4))
    (i32.store offset=8 (local.get $at) (i32.const 65536))
    (i32.store offset=12 (local.get $at) (i32.const 1048576))
    (local.set $at (i32.add (local.get $at) (i32.const 44)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 20784))))
  (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\00\40\00\00\64\00\00\00")
(data (i32.const 0x500) "make")
