// SPDX-License-Identifier: Apache-2.0
public static class Hello {
    public static void Main() {
        System.Console.WriteLine("hello");
    }
}
