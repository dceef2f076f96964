use domain::{AggregateKey, Customer, ErpCommand, Operation, OperationKey, Order, Refund};

use super::{Wire, WireError, bad, required};
use crate::proto::commands::v1 as wire;
use wire::erp_command::Operation as WireOperation;

const NAME: &str = "ErpCommand";

impl Wire for ErpCommand {
    type Message = wire::ErpCommand;
    const NAME: &'static str = "tradewind.commands.v1.ErpCommand";

    fn to_wire(&self) -> wire::ErpCommand {
        wire::ErpCommand {
            target: self.target.to_string(),
            operation_key: self.operation_key.to_string(),
            sequence: self.sequence,
            connection: self.connection.to_string(),
            operation: Some(operation(&self.operation)),
        }
    }

    fn from_wire(message: wire::ErpCommand) -> Result<Self, WireError> {
        let connection = message.connection.parse().map_err(|error| bad(NAME, "connection", error))?;
        let operation = to_operation(required(message.operation, NAME, "operation")?)?;
        let aggregate = match &operation {
            Operation::SyncCustomer { customer } => AggregateKey::customer(&connection, &customer.id),
            other => AggregateKey::order(&connection, &other.order().expect("all other operations are about an order").id),
        };
        Ok(Self {
            target: message.target.parse().map_err(|error| bad(NAME, "target", error))?,
            connection,
            aggregate,
            operation_key: OperationKey::from_wire(message.operation_key).map_err(|error| bad(NAME, "operation_key", error))?,
            sequence: message.sequence,
            operation,
        })
    }
}

fn operation(value: &Operation) -> WireOperation {
    match value {
        Operation::PlaceOrder { order, confirm } => {
            WireOperation::PlaceOrder(wire::PlaceOrder { order: Some(order.to_wire()), confirm: *confirm })
        }
        Operation::ConfirmOrder { order } => WireOperation::ConfirmOrder(wire::ConfirmOrder { order: Some(order.to_wire()) }),
        Operation::ReviseOrder { order } => WireOperation::ReviseOrder(wire::ReviseOrder { order: Some(order.to_wire()) }),
        Operation::CancelOrder { order } => WireOperation::CancelOrder(wire::CancelOrder { order: Some(order.to_wire()) }),
        Operation::BookRefund { refund, order } => {
            WireOperation::BookRefund(wire::BookRefund { refund: Some(refund.to_wire()), order: Some(order.to_wire()) })
        }
        Operation::SyncCustomer { customer } => WireOperation::SyncCustomer(wire::SyncCustomer { customer: Some(customer.to_wire()) }),
    }
}

fn to_operation(value: WireOperation) -> Result<Operation, WireError> {
    let order = |it: Option<_>| Order::from_wire(required(it, NAME, "order")?).map(Box::new);
    Ok(match value {
        WireOperation::PlaceOrder(it) => Operation::PlaceOrder { order: order(it.order)?, confirm: it.confirm },
        WireOperation::ConfirmOrder(it) => Operation::ConfirmOrder { order: order(it.order)? },
        WireOperation::ReviseOrder(it) => Operation::ReviseOrder { order: order(it.order)? },
        WireOperation::CancelOrder(it) => Operation::CancelOrder { order: order(it.order)? },
        WireOperation::BookRefund(it) => {
            Operation::BookRefund { refund: Box::new(Refund::from_wire(required(it.refund, NAME, "refund")?)?), order: order(it.order)? }
        }
        WireOperation::SyncCustomer(it) => {
            Operation::SyncCustomer { customer: Box::new(Customer::from_wire(required(it.customer, NAME, "customer")?)?) }
        }
    })
}
