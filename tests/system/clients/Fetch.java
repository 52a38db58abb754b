// GETs its arguments with the HTTP client of the JDK, and prints each body.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Fetch {
  public static void main(String[] urls) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (String url : urls) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
      System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
  }
}
