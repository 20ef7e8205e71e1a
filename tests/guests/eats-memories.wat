;; Grows several memories in turn; each by itself stays small.
(memory $a 1) (memory $b 1) (memory $c 1)
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $round i32)
  (loop $again
    (drop (memory.grow $a (i32.const 1)))
    (drop (memory.grow $b (i32.const 1)))
    (drop (memory.grow $c (i32.const 1)))
    (local.set $round (i32.add (local.get $round) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $round) (i32.const 500))))
  (unreachable))
