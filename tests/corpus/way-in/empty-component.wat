;; Nothing at all.
(component)
