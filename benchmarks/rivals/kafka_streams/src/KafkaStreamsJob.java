import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import rules.Clock;
import rules.Event;
import rules.Policy;
import rules.Workflow;
import rules.WorkflowBytes;

/**
 * The job on Kafka Streams: the processor API, RocksDB stores with their caches, punctuation in stream time.
 *
 * <p>Arguments: broker, folder, threads, changelog (yes, no), events. Ids have an entry each in stores of their own, so
 * that an event writes what it adds (window stores, which the documentation's example of deduplication takes, were
 * tried and are slower). Deadlines lie in a store in order of time.
 */
public class KafkaStreamsJob {
    static final Policy POLICY = new Policy();
    static final CountDownLatch done = new CountDownLatch(1);

    public static void main(String[] args) throws Exception {
        String folder = args[1];
        boolean isLogged = args[3].equals("yes");
        long events = Long.parseLong(args[4]);
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "streams-" + Path.of(folder).getFileName());
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, folder + "/state");
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[2]);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 10_000);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        properties.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        PrintWriter output = new PrintWriter(Files.newBufferedWriter(Path.of(folder, "decisions")));
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(logged(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore("workflows"), Serdes.String(), new WorkflowSerde()).withCachingEnabled(), isLogged));
        builder.addStateStore(logged(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore("deadlines"), Serdes.Bytes(), Serdes.String()).withCachingEnabled(), isLogged));
        for (String name : new String[] {"seen", "ended"}) {
            builder.addStateStore(logged(Stores.keyValueStoreBuilder(
                    Stores.persistentKeyValueStore(name), Serdes.String(), Serdes.Long()).withCachingEnabled(), isLogged));
        }
        TimestampExtractor time = (ConsumerRecord<Object, Object> record, long partition) -> ((Event) record.value()).time / 1000;
        builder.stream("run_events", Consumed.with(Serdes.String(), new EventSerde()).withTimestampExtractor(time))
                .process(() -> new Detect(output, events), "workflows", "deadlines", "seen", "ended");
        try (KafkaStreams streams = new KafkaStreams(builder.build(), properties)) {
            streams.start();
            done.await();
        }
        output.close();
        Clock.report();
        System.exit(0);
    }

    private static <T extends org.apache.kafka.streams.processor.StateStore> StoreBuilder<T> logged(StoreBuilder<T> store, boolean isLogged) {
        return isLogged ? store : store.withLoggingDisabled();
    }

    static class Detect implements Processor<String, Event, Void, Void> {
        private final PrintWriter output;
        private final long events;
        private KeyValueStore<String, Workflow> workflows;
        private KeyValueStore<Bytes, String> deadlines;
        private KeyValueStore<String, Long> seen;
        private KeyValueStore<String, Long> ended;

        Detect(PrintWriter output, long events) {
            this.output = output;
            this.events = events;
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            workflows = context.getStateStore("workflows");
            deadlines = context.getStateStore("deadlines");
            seen = context.getStateStore("seen");
            ended = context.getStateStore("ended");
            context.schedule(Duration.ofSeconds(1), PunctuationType.STREAM_TIME, this::due);
            context.schedule(Duration.ofHours(1), PunctuationType.STREAM_TIME, streamTime -> {
                forget(seen, streamTime * 1000 - POLICY.horizon);
                forget(ended, streamTime * 1000 - POLICY.horizon);
            });
        }

        @Override
        public void process(Record<String, Event> record) {
            Event event = record.value();
            judge(event);
            if (Clock.judged(1) == events) {
                done.countDown();
            }
        }

        private void judge(Event event) {
            if (seen.putIfAbsent(event.eventId, event.time) != null) {
                return;
            }
            if (ended.get(event.executionId) != null) {
                return;
            }
            Workflow workflow = workflows.get(event.workflowId);
            if (workflow == null) {
                workflow = new Workflow();
                workflow.tenant = event.tenantId;
                workflow.workflow = event.workflowId;
            }
            Long before = workflow.open.get(event.executionId);
            workflow.onEvent(event, POLICY, output::println);
            Long after = workflow.open.get(event.executionId);
            if (before != null && !before.equals(after)) {
                deadlines.delete(key(before, event));
            }
            if (after != null && !after.equals(before)) {
                deadlines.put(key(after, event), event.workflowId);
            }
            if (!workflow.ended.isEmpty()) {
                ended.put(event.executionId, event.time);
            }
            workflows.put(event.workflowId, workflow);
        }

        private static void forget(KeyValueStore<String, Long> ids, long until) {
            try (KeyValueIterator<String, Long> all = ids.all()) {
                all.forEachRemaining(one -> {
                    if (one.value <= until) {
                        ids.delete(one.key);
                    }
                });
            }
        }

        /** Settle what the watermark has passed. */
        private void due(long streamTime) {
            long until = streamTime * 1000 - POLICY.lateness;
            try (KeyValueIterator<Bytes, String> found = deadlines.range(null, key(until, null))) {
                while (found.hasNext()) {
                    KeyValue<Bytes, String> one = found.next();
                    Workflow workflow = workflows.get(one.value);
                    workflow.settle(until, POLICY, output::println);
                    workflows.put(one.value, workflow);
                    deadlines.delete(one.key);
                }
            }
        }

        private static Bytes key(long deadline, Event event) {
            return Bytes.wrap(((String.format("%019d", deadline)) + (event == null ? "~" : event.executionId)).getBytes());
        }
    }

    static class WorkflowSerde implements Serde<Workflow> {
        @Override
        public Serializer<Workflow> serializer() {
            return (topic, workflow) -> {
                try {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
                    WorkflowBytes.write(workflow, false, new DataOutputStream(bytes));
                    return bytes.toByteArray();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            };
        }

        @Override
        public Deserializer<Workflow> deserializer() {
            return (topic, bytes) -> {
                try {
                    return bytes == null ? null : WorkflowBytes.read(false, new DataInputStream(new ByteArrayInputStream(bytes)));
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            };
        }
    }

    static class EventSerde implements Serde<Event> {
        @Override
        public Serializer<Event> serializer() {
            return (topic, event) -> null;
        }

        @Override
        public Deserializer<Event> deserializer() {
            ObjectReader reader = new ObjectMapper()
                    .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false).readerFor(Event.class);
            return (topic, bytes) -> {
                Clock.begin();
                try {
                    return ((Event) reader.readValue(bytes)).validate();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            };
        }
    }
}
