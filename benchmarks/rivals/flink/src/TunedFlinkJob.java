import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.SimpleStreamFormat;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import rules.Clock;
import rules.Event;
import rules.Policy;
import rules.Workflow;

/**
 * The job with what Flink's tuning guides and profiles suggest: bytes parsed where they are read, nothing but the
 * needed fields sent on, serializers of its own, objects used again, one state object for each workflow.
 */
public class TunedFlinkJob {
    public static void main(String[] args) throws Exception {
        int slots = Integer.parseInt(args[2]);
        StreamExecutionEnvironment env = FlinkJob.environment(args[1], slots, Long.parseLong(args[3]));
        env.getConfig().enableObjectReuse();
        FileSource<Event> source = FileSource.forRecordStreamFormat(new Events(), new Path(args[0])).build();
        WatermarkStrategy<Event> watermarks =
                WatermarkStrategy.<Event>forBoundedOutOfOrderness(Duration.ofSeconds(60))
                        .withTimestampAssigner((event, unused) -> event.time / 1000);
        env.fromSource(source, watermarks, "events")
                .keyBy((KeySelector<Event, String>) event -> event.workflowId, Types.STRING)
                .process(new Detect())
                .sinkTo(FileSink.forRowFormat(new Path(args[1] + "/decisions"), new SimpleStringEncoder<String>()).build());
        env.execute();
        Clock.report();
    }

    /** Lines to events, without strings of whole lines between. */
    static class Events extends SimpleStreamFormat<Event> {
        @Override
        public Reader<Event> createReader(Configuration config, FSDataInputStream stream) {
            Clock.begin();
            return new LineReader(stream);
        }

        @Override
        public TypeInformation<Event> getProducedType() {
            return new CompactTypes.EventType();
        }
    }

    static class LineReader implements StreamFormat.Reader<Event> {
        private final InputStream stream;
        private final FieldParser parser = new FieldParser();
        private byte[] buffer = new byte[1 << 16];
        private int begin;
        private int end;

        LineReader(InputStream stream) {
            this.stream = stream;
        }

        @Override
        public Event read() throws IOException {
            int at = begin;
            while (true) {
                while (at < end) {
                    if (buffer[at++] == '\n') {
                        Event event = parser.parse(buffer, begin, at - 1);
                        begin = at;
                        return event;
                    }
                }
                if (begin > 0) {
                    System.arraycopy(buffer, begin, buffer, 0, end - begin);
                    at -= begin;
                    end -= begin;
                    begin = 0;
                } else if (end == buffer.length) {
                    buffer = java.util.Arrays.copyOf(buffer, 2 * end);
                }
                int count = stream.read(buffer, end, buffer.length - end);
                if (count < 0) {
                    return null;
                }
                end += count;
            }
        }

        @Override
        public void close() throws IOException {
            stream.close();
        }
    }

    static class Detect extends KeyedProcessFunction<String, Event, String> {
        private final Policy policy = new Policy();
        private transient ValueState<Workflow> state;
        private transient int judged;

        @Override
        public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("workflow", new CompactTypes.WorkflowSerializer()));
        }

        @Override
        public void processElement(Event event, Context context, Collector<String> out) throws Exception {
            if (++judged == Clock.STRIDE) {
                Clock.judged(judged);
                judged = 0;
            }
            Workflow workflow = state.value();
            boolean isNew = workflow == null;
            if (isNew) {
                workflow = new Workflow();
                workflow.tenant = event.tenantId;
                workflow.workflow = event.workflowId;
            }
            long before = workflow.timer;
            workflow.onEvent(event, policy, out::collect);
            // One timer a workflow, at its next deadline or earlier: most executions end in time.
            if (before == Long.MAX_VALUE && !workflow.open.isEmpty()) {
                workflow.timer = timer(workflow.nextDeadline());
                context.timerService().registerEventTimeTimer(workflow.timer);
            }
            if (isNew || before != workflow.timer) {
                state.update(workflow);
            }
        }

        @Override
        public void onTimer(long timestamp, OnTimerContext context, Collector<String> out) throws Exception {
            Workflow workflow = state.value();
            workflow.settle(timestamp * 1000, policy, out::collect);
            workflow.timer = Long.MAX_VALUE;
            if (!workflow.open.isEmpty()) {
                workflow.timer = timer(workflow.nextDeadline());
                context.timerService().registerEventTimeTimer(workflow.timer);
            }
            state.update(workflow);
        }

        private static long timer(long micros) {
            return Math.floorDiv(micros + 999, 1000);
        }

        @Override
        public void close() {
            Clock.judged(judged);
        }
    }
}
