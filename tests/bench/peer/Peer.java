import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Confluent's Parallel Consumer over the same topic and against the same ERP as our adapter: one request per record, order
 * per key, as many at once. It keeps no ledger: whatever was sent before a crash is sent again.
 *
 * Arguments: brokers, topic, group, the ERP's address, requests at once, milliseconds before a record is tried again.
 * Speaks as every party does: a line when it is ready, then for each line that it reads.
 */
public final class Peer {
    private static final AtomicLong REFUSED = new AtomicLong();

    public static void main(String[] arguments) throws Exception {
        var brokers = arguments[0];
        var topic = arguments[1];
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(3)).build();
        var pause = Duration.ofMillis(Long.parseLong(arguments[5]));
        var erp = URI.create(arguments[3]);
        var orders = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("{}");
        if (orders.readLine() == null) {
            return;
        }
        var options = ParallelConsumerOptions.<String, byte[]>builder()
            .consumer(new KafkaConsumer<>(consumer(brokers, arguments[2]), new StringDeserializer(), new ByteArrayDeserializer()))
            .ordering(ProcessingOrder.KEY)
            .maxConcurrency(Integer.parseInt(arguments[4]))
            .retryDelayProvider(context -> pause)
            .build();
        var processor = ParallelStreamProcessor.createEosStreamProcessor(options);
        processor.subscribe(List.of(topic));
        processor.poll(context -> send(client, erp, context.getSingleConsumerRecord()));
        System.out.println("{}");
        orders.readLine();
        System.out.println("{\"refused\":" + REFUSED.get() + "}");
        processor.closeDontDrainFirst();
        System.exit(0);
    }

    /** What is thrown makes the record come again. */
    private static void send(HttpClient client, URI erp, ConsumerRecord<String, byte[]> record) {
        var sequence = new String(record.headers().lastHeader("tw-entity-seq").value());
        var request = HttpRequest.newBuilder(erp)
            .header("x-key", record.key())
            .header("x-sequence", sequence)
            .POST(BodyPublishers.ofByteArray(record.value()))
            .build();
        try {
            var status = client.send(request, BodyHandlers.discarding()).statusCode();
            if (status != 200) {
                throw new IllegalStateException("the ERP answered " + status);
            }
        } catch (ConnectException refused) {
            REFUSED.incrementAndGet();
            throw new IllegalStateException(refused);
        } catch (java.io.IOException broken) {
            throw new IllegalStateException(broken);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(stopped);
        }
    }

    private static Properties consumer(String brokers, String group) {
        var properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("group.id", group);
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        properties.put("fetch.max.wait.ms", "10");
        return properties;
    }
}
