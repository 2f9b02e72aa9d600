; SPDX-License-Identifier: Apache-2.0
; What the program depends on is in the image's own repository, so that no network is needed.
(defproject hello "1.0"
  :dependencies [[org.clojure/clojure "1.11.1"]]
  :source-paths ["."]
  :main hello)
