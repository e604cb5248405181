package rules;

import java.util.Arrays;

/** Event times of one window, in order. Public fields, so that an engine's own serializers can see them. */
public class Times {
    public long[] values = new long[2];
    public int size;

    public void add(long time) {
        if (size == values.length) {
            values = Arrays.copyOf(values, 2 * size);
        }
        values[size++] = time;
    }

    public Times copy() {
        Times copy = new Times();
        copy.values = values.clone();
        copy.size = size;
        return copy;
    }

    /** Forget those at or before a time. */
    public void forget(long until) {
        int gone = 0;
        while (gone < size && values[gone] <= until) {
            gone++;
        }
        if (gone > 0) {
            System.arraycopy(values, gone, values, 0, size - gone);
            size -= gone;
        }
    }
}
