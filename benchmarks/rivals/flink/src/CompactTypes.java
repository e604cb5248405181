import java.io.IOException;
import java.util.HashMap;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rules.Event;
import rules.Workflow;
import rules.WorkflowBytes;

/** Serializers that write the needed fields, one byte a character. */
class CompactTypes {
    static class EventType extends TypeInformation<Event> {
        @Override public boolean isBasicType() { return false; }
        @Override public boolean isTupleType() { return false; }
        @Override public int getArity() { return 1; }
        @Override public int getTotalFields() { return 1; }
        @Override public Class<Event> getTypeClass() { return Event.class; }
        @Override public boolean isKeyType() { return false; }
        @Override public TypeSerializer<Event> createSerializer(SerializerConfig config) { return new EventSerializer(); }
        @Override public String toString() { return "Event"; }
        @Override public boolean equals(Object other) { return other instanceof EventType; }
        @Override public int hashCode() { return 1; }
        @Override public boolean canEqual(Object other) { return other instanceof EventType; }
    }

    public static class EventSerializer extends TypeSerializerSingleton<Event> {
        private static final String[] STATUSES = {"queued", "started", "running", "success", "failure", "cancelled", "timed_out"};
        private transient byte[] scratch;

        @Override
        public void serialize(Event event, DataOutputView out) throws IOException {
            int status = 0;
            while (!STATUSES[status].equals(event.status)) {
                status++;
            }
            out.writeByte(status);
            out.writeLong(event.time);
            out.writeShort(event.httpStatus);
            text(event.eventId, out);
            text(event.tenantId, out);
            text(event.workflowId, out);
            text(event.executionId, out);
            text(event.systemKey == null ? "" : event.systemKey, out);
        }

        @Override
        public Event deserialize(DataInputView in) throws IOException {
            return deserialize(new Event(), in);
        }

        @Override
        public Event deserialize(Event event, DataInputView in) throws IOException {
            event.status = STATUSES[in.readByte()];
            event.time = in.readLong();
            event.httpStatus = in.readShort();
            event.eventId = text(in);
            event.tenantId = text(in);
            event.workflowId = text(in);
            event.executionId = text(in);
            String system = text(in);
            event.systemKey = system.isEmpty() ? null : system;
            return event;
        }

        @SuppressWarnings("deprecation")
        private void text(String value, DataOutputView out) throws IOException {
            if (scratch == null) {
                scratch = new byte[256];
            }
            int length = value.length();
            value.getBytes(0, length, scratch, 0);
            out.writeByte(length);
            out.write(scratch, 0, length);
        }

        private String text(DataInputView in) throws IOException {
            if (scratch == null) {
                scratch = new byte[256];
            }
            int length = in.readUnsignedByte();
            in.readFully(scratch, 0, length);
            return new String(scratch, 0, length, java.nio.charset.StandardCharsets.ISO_8859_1);
        }

        @Override public boolean isImmutableType() { return true; }
        @Override public Event createInstance() { return new Event(); }
        @Override public Event copy(Event from) { return from; }
        @Override public Event copy(Event from, Event reuse) { return from; }
        @Override public int getLength() { return -1; }
        @Override public void copy(DataInputView in, DataOutputView out) throws IOException { serialize(deserialize(in), out); }
        @Override public EventSerializer duplicate() { return new EventSerializer(); }
        @Override public TypeSerializerSnapshot<Event> snapshotConfiguration() { return new EventSnapshot(); }
    }

    public static class EventSnapshot extends SimpleTypeSerializerSnapshot<Event> {
        public EventSnapshot() { super(EventSerializer::new); }
    }

    public static class WorkflowSerializer extends TypeSerializerSingleton<Workflow> {
        @Override public void serialize(Workflow one, DataOutputView out) throws IOException { WorkflowBytes.write(one, true, out); }
        @Override public Workflow deserialize(DataInputView in) throws IOException { return WorkflowBytes.read(true, in); }
        @Override public Workflow deserialize(Workflow reuse, DataInputView in) throws IOException { return deserialize(in); }
        @Override public boolean isImmutableType() { return false; }
        @Override public Workflow createInstance() { return new Workflow(); }
        @Override public Workflow copy(Workflow from) {
            Workflow copy = new Workflow();
            copy.tenant = from.tenant;
            copy.workflow = from.workflow;
            copy.seen = new HashMap<>(from.seen);
            copy.ended = new HashMap<>(from.ended);
            copy.open = new HashMap<>(from.open);
            copy.stuck = new HashMap<>(from.stuck);
            copy.cleanup = from.cleanup;
            copy.timer = from.timer;
            copy.breaker.stuck.putAll(from.breaker.stuck);
            copy.breaker.newest = from.breaker.newest;
            copy.breaker.blacklisted = from.breaker.blacklisted;
            copy.auth = from.auth.copy();
            return copy;
        }
        @Override public Workflow copy(Workflow from, Workflow reuse) { return copy(from); }
        @Override public int getLength() { return -1; }
        @Override public void copy(DataInputView in, DataOutputView out) throws IOException { serialize(deserialize(in), out); }
        @Override public TypeSerializerSnapshot<Workflow> snapshotConfiguration() { return new WorkflowSnapshot(); }
    }

    public static class WorkflowSnapshot extends SimpleTypeSerializerSnapshot<Workflow> {
        public WorkflowSnapshot() { super(WorkflowSerializer::new); }
    }
}
