import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

/**
 * The JDK's own client. Proxy and trust store are system properties; a password is asked for
 * when the proxy challenges it.
 */
class WithHttpClient {
    public static void main(String[] arguments) throws Exception {
        String pod = arguments[0], agent = arguments[1];
        HttpClient.Builder builder = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(20));
        String user = System.getenv("PROXY_USER"), password = System.getenv("PROXY_PASSWORD");
        if (user != null) {
            builder.authenticator(new Authenticator() {
                @Override
                protected PasswordAuthentication getPasswordAuthentication() {
                    return getRequestorType() == RequestorType.PROXY
                        ? new PasswordAuthentication(user, password.toCharArray()) : null;
                }
            });
        }
        HttpClient client = builder.build();
        var get = HttpRequest.newBuilder(URI.create(pod + "/pod/v2/sessioninfo"));
        var info = client.send(get.build(), BodyHandlers.ofString());
        var post = HttpRequest.newBuilder(URI.create(agent + "/agent/v1/util/echo"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"message\": \"hello\"}"));
        var echo = client.send(post.build(), BodyHandlers.ofString());
        String http = echo.version() == HttpClient.Version.HTTP_2 ? "2" : "1.1";
        System.out.printf("{\"version\": \"%s\", \"http\": \"%s\", \"info\": %s, \"echo\": %s}%n",
            Runtime.version().feature(), http, info.body(), echo.body());
    }
}
