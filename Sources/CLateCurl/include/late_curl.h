// SPDX-License-Identifier: Apache-2.0
// Nothing is called from Swift; the header makes the target one that a package can depend on.
