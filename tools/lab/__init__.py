# SPDX-License-Identifier: Apache-2.0
"""A registry behind a shaped line, and the engines that are measured against it."""
