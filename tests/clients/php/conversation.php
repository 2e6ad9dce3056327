<?php
// One conversation with the service, through the client of openapi-generator.
declare(strict_types=1);
require 'GuzzleHttp/autoload.php';
require 'GuzzleHttp/Psr7/autoload.php';
spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'Muster\\')) {
        require getenv('CLIENT') . '/' . str_replace('\\', '/', substr($class, 7)) . '.php';
    }
});

use Muster\Api;
use Muster\Model;

function check(bool $holds, string $what): void
{
    $holds || throw new RuntimeException($what);
}

const NUMBER = '861821726232';
$configuration = (new Muster\Configuration())->setHost(getenv('MUSTER_SERVER'))->setAccessToken(getenv('MUSTER_KEY'));
$documented = new Api\DocumentedApi(config: $configuration);
$accounts = new Api\AccountsApi(config: $configuration);
$journal = new Api\JournalApi(config: $configuration);
$webhooks = new Api\WebhooksApi(config: $configuration);
$keys = ['public_key' => '', 'private_key' => '', 'msg_public_key' => '', 'msg_private_key' => ''];
$until = function (int $wanted) use ($documented): void {
    for ($end = microtime(true) + 20; ; usleep(50000)) {
        [$account] = $documented->queryWhatsAppStatus(whats_app: NUMBER)->getData();
        if ($account->getOnlineStatus() === $wanted) {
            return;
        }
        check(microtime(true) < $end, NUMBER . " is {$account->getOnlineStatus()}, not $wanted");
    }
};

$imported = new Model\ImportedAccount(['whats_app' => NUMBER, 'account_id' => ''] + $keys);
$answer = $documented->batchInsert(new Model\BatchInsertRequest(['whats_app_list' => [$imported]]), details: false);
check($answer->getCode() === 200, 'batchInsert');
$until(4);
$online = new Model\OnlineAccount(['whats_app' => NUMBER, 'override' => false] + $keys);
$answer = $documented->batchOnline(new Model\BatchOnlineRequest(['whats_app_list' => [$online]]));
check($answer->getCode() === 200, 'batchOnline');
$until(2);
$answer = $documented->batchRecycle(new Model\BatchRecycleRequest(['whats_app_list' => [NUMBER]]));
check($answer->getCode() === 200, 'batchRecycle');
$until(4);
$phone = new Model\SubmitPhoneRequest(['phone' => '182172623211', 'verify_type' => 1, 'account_type' => 2,
    'area_code' => '+86', 'country_code' => 'CN']);
check($documented->submitPhone($phone)->getData() === 1, 'submitPhone');

$types = array_map(fn ($event) => $event->getType(), $accounts->showHistory(NUMBER)->getEvents());
check(in_array('muster.account.came_online.v1', $types, true), 'no came_online in the history');
check(count($journal->listEvents(limit: 2)->getEvents()) === 2, 'listEvents');
$labels = $accounts->changeLabels(NUMBER, new Model\ChangeLabels(['labels' => ['team' => 'care']]));
check(((array) $labels->getLabels())['team'] === 'care', 'changeLabels');

$receiver = getenv('MUSTER_RECEIVER') . '/callback';
check($webhooks->showWebhook('sync')->getState() !== '', 'showWebhook');
check($webhooks->setReceiver('sync', new Model\ReceiverUrl(['url' => $receiver]))->getUrl() === $receiver, 'setReceiver');
$reason = new Model\Reason(['reason' => 'maintenance']);
check($webhooks->pauseWebhook('sync', $reason)->getPaused() !== null, 'pauseWebhook');
$webhooks->resumeWebhook('sync');

check((new Api\UpkeepApi(config: $configuration))->backup()->getSize() > 100, 'backup');
check(str_contains(file_get_contents($journal->exportEvents()->getPathname()), NUMBER), 'exportEvents');
echo "php: ok\n";
