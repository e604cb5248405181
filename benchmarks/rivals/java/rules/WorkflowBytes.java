package rules;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.Map;

/** A workflow as bytes, and back. */
public final class WorkflowBytes {
    private WorkflowBytes() {}

    public static void write(Workflow one, boolean withIds, DataOutput out) throws IOException {
        out.writeUTF(one.tenant);
        out.writeUTF(one.workflow);
        if (withIds) {
            write(one.seen, out);
            write(one.ended, out);
        }
        write(one.open, out);
        write(one.stuck, out);
        write(one.auth.runs, out);
        out.writeInt(one.auth.systems.size());
        for (Map.Entry<String, SystemFailures> system : one.auth.systems.entrySet()) {
            out.writeUTF(system.getKey());
            out.writeInt(system.getValue().streak);
            write(system.getValue().failures, out);
        }
        out.writeBoolean(one.auth.armed);
        out.writeLong(one.auth.decidedAt);
        out.writeInt(one.auth.successes);
        write(one.breaker.stuck, out);
        out.writeLong(one.breaker.newest);
        out.writeBoolean(one.breaker.blacklisted);
        out.writeLong(one.cleanup);
        out.writeLong(one.timer);
    }

    public static Workflow read(boolean withIds, DataInput in) throws IOException {
        Workflow one = new Workflow();
        one.tenant = in.readUTF();
        one.workflow = in.readUTF();
        if (withIds) {
            read(one.seen, in);
            read(one.ended, in);
        }
        read(one.open, in);
        read(one.stuck, in);
        one.auth.runs = times(in);
        for (int left = in.readInt(); left > 0; left--) {
            String name = in.readUTF();
            SystemFailures system = new SystemFailures();
            system.streak = in.readInt();
            system.failures = times(in);
            one.auth.systems.put(name, system);
        }
        one.auth.armed = in.readBoolean();
        one.auth.decidedAt = in.readLong();
        one.auth.successes = in.readInt();
        read(one.breaker.stuck, in);
        one.breaker.newest = in.readLong();
        one.breaker.blacklisted = in.readBoolean();
        one.cleanup = in.readLong();
        one.timer = in.readLong();
        return one;
    }

    private static void write(Map<String, Long> map, DataOutput out) throws IOException {
        out.writeInt(map.size());
        for (Map.Entry<String, Long> entry : map.entrySet()) {
            out.writeUTF(entry.getKey());
            out.writeLong(entry.getValue());
        }
    }

    private static void read(Map<String, Long> map, DataInput in) throws IOException {
        for (int left = in.readInt(); left > 0; left--) {
            String name = in.readUTF();
            map.put(name, in.readLong());
        }
    }

    private static void write(Times times, DataOutput out) throws IOException {
        out.writeInt(times.size);
        for (int index = 0; index < times.size; index++) {
            out.writeLong(times.values[index]);
        }
    }

    private static Times times(DataInput in) throws IOException {
        Times times = new Times();
        for (int left = in.readInt(); left > 0; left--) {
            times.add(in.readLong());
        }
        return times;
    }
}
