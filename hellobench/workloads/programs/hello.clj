; SPDX-License-Identifier: Apache-2.0
(ns hello)

(defn -main []
  (println "hello"))
