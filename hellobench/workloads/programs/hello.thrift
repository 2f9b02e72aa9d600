# SPDX-License-Identifier: Apache-2.0
service Greeter {
  string hello(1: string name)
}
