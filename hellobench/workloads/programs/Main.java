// SPDX-License-Identifier: Apache-2.0
public class Main {
    public static void main(String[] arguments) {
        System.out.println("hello");
    }
}
