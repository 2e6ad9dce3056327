import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import muster.ApiClient;
import muster.api.*;
import muster.model.*;

/** One conversation with the service, through the client of openapi-generator (library `native`). */
public final class Conversation {
    static final String NUMBER = "861821726232";

    static void check(boolean holds, String what) {
        if (!holds) throw new IllegalStateException(what);
    }

    static void until(DocumentedApi documented, int wanted) throws Exception {
        long end = System.nanoTime() + 20_000_000_000L;
        for (;;) {
            var status = documented.queryWhatsAppStatus(NUMBER, null).getData().get(0).getOnlineStatus().getValue();
            if (status == wanted) return;
            check(System.nanoTime() < end, NUMBER + " is " + status + ", not " + wanted);
            Thread.sleep(50);
        }
    }

    public static void main(String[] arguments) throws Exception {
        var client = new ApiClient();
        client.updateBaseUri(System.getenv("MUSTER_SERVER"));
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + System.getenv("MUSTER_KEY")));
        var documented = new DocumentedApi(client);
        var accounts = new AccountsApi(client);
        var journal = new JournalApi(client);
        var webhooks = new WebhooksApi(client);

        var imported = new ImportedAccount()
            .whatsApp(NUMBER).publicKey("").privateKey("").msgPublicKey("").msgPrivateKey("").accountId("");
        var insert = new BatchInsertRequest().whatsAppList(List.of(imported));
        check(documented.batchInsert(insert, null, null, null).getCode() == 200, "batchInsert");
        until(documented, 4);
        var wanted = new OnlineAccount()
            .whatsApp(NUMBER).override(false).publicKey("").privateKey("").msgPublicKey("").msgPrivateKey("");
        var online = new BatchOnlineRequest().whatsAppList(List.of(wanted));
        check(documented.batchOnline(online, null, null, null).getCode() == 200, "batchOnline");
        until(documented, 2);
        var recycle = new BatchRecycleRequest().whatsAppList(List.of(NUMBER));
        check(documented.batchRecycle(recycle, null, null, null).getCode() == 200, "batchRecycle");
        until(documented, 4);
        var phone = new SubmitPhoneRequest()
            .phone("182172623211").verifyType(SubmitPhoneRequest.VerifyTypeEnum.NUMBER_1)
            .accountType(SubmitPhoneRequest.AccountTypeEnum.NUMBER_2).areaCode("+86").countryCode("CN");
        check(documented.submitPhone(phone, null, null).getData() == 1, "submitPhone");

        var history = accounts.showHistory(NUMBER, null, null, null, null, null, null, null, null, null, null);
        check(history.getEvents().stream().anyMatch(event -> event.getType().equals("muster.account.came_online.v1")),
            "no came_online in the history");
        var page = journal.listEvents(null, null, null, null, 2, null, null, null, null, null, null, null, null);
        check(page.getEvents().size() == 2, "listEvents");
        var labels = accounts.changeLabels(NUMBER, new ChangeLabels().labels(Map.of("team", "care")), null);
        check("care".equals(labels.getLabels().get("team")), "changeLabels");

        var receiver = System.getenv("MUSTER_RECEIVER") + "/callback";
        check(webhooks.showWebhook("sync").getState() != null, "showWebhook");
        check(receiver.equals(webhooks.setReceiver("sync", new ReceiverUrl().url(receiver), null).getUrl()), "setReceiver");
        var reason = new Reason().reason("maintenance");
        check(webhooks.pauseWebhook("sync", reason, null).getPaused() != null, "pauseWebhook");
        webhooks.resumeWebhook("sync", null);

        var backup = new UpkeepApi(client).backup(null).toPath();
        check(Files.size(backup) > 100, "backup");
        Files.delete(backup);
        var exported = journal.exportEvents(null, null, null, null, null, null, null, null, null, null, null);
        check(Files.readString(exported.toPath()).contains(NUMBER), "exportEvents");
        System.out.println("java: ok");
    }
}
