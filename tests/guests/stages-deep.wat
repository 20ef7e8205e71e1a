;; Stages a file five hundred folders down.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $at i32)
  (local.set $at (i32.const 2048))
  (loop $again
    (i32.store16 (local.get $at) (i32.const 0x2f61))
    (local.set $at (i32.add (local.get $at) (i32.const 2)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 3050))))
  (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\04\00\00\00\00\05\00\00\04\00\00\00\80\04\00\00\01\00\00\00")
(data (i32.const 0x480) "\00\08\00\00\e9\03\00\00\00\05\00\00\04\00\00\00\00\00\00\00")
(data (i32.const 0x500) "make")
