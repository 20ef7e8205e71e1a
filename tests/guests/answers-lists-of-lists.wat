;; Thirty tasks of 250 files of a megabyte, all the same bytes: 7.3 GiB in three lists.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $at i32)
  (drop (memory.grow (i32.const 32)))
  ;; Files.
  (local.set $at (i32.const 16384))
  (loop $again
    (i32.store (local.get $at) (i32.const 0x500))
    (i32.store offset=4 (local.get $at) (i32.const 4))
    (i32.store offset=8 (local.get $at) (i32.const 65536))
    (i32.store offset=12 (local.get $at) (i32.const 1048576))
    (local.set $at (i32.add (local.get $at) (i32.const 20)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 21384))))
  ;; Tasks.
  (local.set $at (i32.const 24576))
  (loop $again
    (i32.store (local.get $at) (i32.const 0x500))
    (i32.store offset=4 (local.get $at) (i32.const 4))
    (i32.store offset=8 (local.get $at) (i32.const 0x500))
    (i32.store offset=12 (local.get $at) (i32.const 4))
    (i32.store offset=16 (local.get $at) (i32.const 16384))
    (i32.store offset=20 (local.get $at) (i32.const 250))
    (local.set $at (i32.add (local.get $at) (i32.const 44)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 25896))))
  (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\00\60\00\00\1e\00\00\00")
(data (i32.const 0x500) "make")
