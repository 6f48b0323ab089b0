package org.junit;

import java.util.Objects;

public final class Assert {
    public static void assertTrue(String message, boolean condition) {
        if (!condition) {
            throw new AssertionError(message);
        }
    }

    public static void assertEquals(String message, Object expected, Object actual) {
        assertTrue(message + ": expected " + expected + ", was " + actual, Objects.equals(expected, actual));
    }

    public static void assertEquals(String message, long expected, long actual) {
        assertEquals(message, (Object) expected, (Object) actual);
    }
}
